#include "tests/train/tiny_run.h"

#include <exception>
#include <mutex>
#include <thread>

#include <unistd.h>

#include <ATen/ATen.h>

#include "core/files.h"
#include "data/commands.h"
#include "data/shards/dataset_writer.h"
#include "ddp/thread_ranks.h"
#include "train/loop.h"
#include "train/prepare.h"

namespace lockstep::testing {

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "lockstep-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw EnvironmentError("cannot make a temporary folder");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

namespace {

// Made by the first test that needs it, removed when the process ends.
const fs::path& data_folder() {
  static const TemporaryFolder folder;
  static std::once_flag once;
  std::call_once(once, [] {
    MakeSudokuOptions options;
    options.train_grids = 60;
    options.puzzles_per_level = 4;
    make_sudoku(folder.path() / "data", options, /*show_progress=*/false);
  });
  static const fs::path data = folder.path() / "data";
  return data;
}

}  // namespace

void write_float_arrays(const fs::path& folder,
                        const std::vector<std::pair<std::string, std::vector<float>>>& arrays) {
  DatasetPlan plan;
  plan.kind = "arrays";
  plan.made_by = "tests";
  std::vector<ArrayValues> values;
  for (const auto& [name, numbers] : arrays) {
    plan.arrays.push_back({name, at::kFloat, {}});
    values.push_back({plan.arrays.back(), at::tensor(numbers), {}});
  }
  DatasetWriter writer(folder, plan, /*overwrite=*/false);
  writer.add_shard("part-00000.h5", static_cast<int64_t>(arrays.front().second.size()),
                   std::move(values));
  writer.finish();
}

std::vector<std::string> tiny_overrides(int64_t steps) {
  const std::string data = data_folder().string();
  return {"run.device=cpu",
          "data.kind=grids",
          "data.train=[" + data + "/train-*.h5]",
          "data.validation=[" + data + "/validation.h5]",
          "task.kind=sudoku",
          "task.model={kind: sudoku_net, iterations: 4, loss_depths: [4]}",
          "train.global_batch=16",
          "train.steps=" + std::to_string(steps),
          "train.clip_norm=1",
          "train.ema.decay=0.9",
          "schedule={kind: cosine, warmup_steps: 2}",
          "checkpoint.every_steps=0",
          "log.every_steps=1"};
}

int64_t train_on_threads(const fs::path& folder, int ranks,
                         const std::vector<std::string>& overrides) {
  make_folders(folder);
  std::vector<std::string> all = overrides;
  all.push_back("launch.ranks_per_node=" + std::to_string(ranks));
  ThreadRendezvous rendezvous(ranks, 60);
  std::mutex mutex;
  std::exception_ptr failure;
  int64_t step = 0;
  const auto run_rank = [&](int rank) {
    try {
      Prepared prepared = prepare_run("-", all, {});
      make_folders(RunFolder{folder}.attempt(0));
      Session session(std::move(prepared.loaded), prepared.plan, {RunFolder{folder}, 0},
                      rendezvous.communicator(rank));
      train(session);
      const std::lock_guard lock(mutex);
      step = session.state().step;
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(run_rank, rank);
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  return step;
}

std::string checkpoint_bytes(const RunFolder& folder, int64_t step) {
  std::string out;
  for (const char* file : {"model.safetensors", "ema.safetensors",
                           "optimizer-00000-of-00001.safetensors", "state.json"})
    out += std::string(file) + "\n" + read_file(folder.checkpoint(step) / file);
  return out;
}

}  // namespace lockstep::testing
