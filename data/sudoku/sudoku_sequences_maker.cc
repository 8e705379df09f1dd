// Solved grids with an order of their cells: what the seed's step-by-step objective is trained on.
#include <numeric>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/config/config_node.h"
#include "core/progress.h"
#include "data/commands.h"
#include "data/parallel_for.h"
#include "data/shards/dataset_writer.h"
#include "data/sudoku/sudoku_puzzles.h"
#include "data/sudoku/sudoku_shards.h"

namespace lockstep {
namespace {

// What a draw is for: `step` of the stream, apart from those of sudoku_maker.cc.
enum : uint32_t { kGridDraws = 16, kOrderDraws = 17 };

std::vector<ArrayInfo> sequence_arrays() {
  return {{"solution", at::kByte, {kCells}}, {"order", at::kByte, {kCells}}};
}

// Sequences [first, first + count) of the stream as one shard.
void add_shard(DatasetWriter& writer, const std::string& file, int64_t first, int64_t count,
               const Stream& stream, int threads, Progress& progress) {
  at::Tensor solutions = at::empty({count, kCells}, at::kByte),
             orders = at::empty({count, kCells}, at::kByte);
  auto* solution = solutions.mutable_data_ptr<uint8_t>();
  auto* order = orders.mutable_data_ptr<uint8_t>();
  parallel_for(
      0, count, threads,
      [&](int64_t i) {
        const auto id = static_cast<uint64_t>(first + i);
        Draws grid_draws(stream, id, kGridDraws), order_draws(stream, id, kOrderDraws);
        const Grid grid = random_grid(grid_draws);
        std::copy(grid.begin(), grid.end(), solution + i * kCells);
        std::iota(order + i * kCells, order + (i + 1) * kCells, uint8_t{0});
        order_draws.shuffle(order + i * kCells, order + (i + 1) * kCells);
      },
      [&](int64_t done) { progress.update(first + done); });
  const std::vector<ArrayInfo> infos = sequence_arrays();
  writer.add_shard(file, count, {{infos[0], solutions, {}}, {infos[1], orders, {}}});
}

}  // namespace

bool make_sudoku_sequences(const std::filesystem::path& folder, const MakeSequencesOptions& options,
                           bool show_progress) {
  MakeSequencesOptions printed = options;
  const std::string recipe =
      print_json([&](FieldVisitor& visit) { printed.fields(visit); }, {"threads", "overwrite"});
  if (!options.overwrite && DatasetWriter::is_made(folder, recipe)) return false;
  DatasetWriter writer(folder,
                       {"grids", "lockstep data make sudoku-sequences", recipe, sequence_arrays()},
                       options.overwrite);
  const int threads = num_threads(options.threads);
  const Stream stream(static_cast<uint64_t>(options.seed), Purpose::kDataMaking);
  const int64_t train = options.train_sequences;
  Progress progress("sudoku sequences", train + options.validation_sequences, "sequence",
                    show_progress);
  for (int64_t first = 0, number = 0; first < train; first += options.samples_per_shard, ++number)
    add_shard(writer, shard_name("train", number), first,
              std::min(options.samples_per_shard, train - first), stream, threads, progress);
  add_shard(writer, "validation.h5", train, options.validation_sequences, stream, threads,
            progress);
  progress.finish();
  writer.finish();
  return true;
}

}  // namespace lockstep
