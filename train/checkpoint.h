// Checkpoints: complete states of a run on disk (design.md 6, rule 13; docs/formats.md).
//
// A checkpoint is a folder: model, ema and optimizer tensors by parameter name, state.json, and
// MANIFEST.json with size and XXH3-128 of each file. It is written into a hidden folder, every
// file and folder synced, the manifest last, then renamed: what has the final name is complete.
// Only the manifest may hold time, host or ranks; the rest is equal for every number of ranks.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "core/run_folder.h"
#include "optim/loss_scale.h"
#include "tensor/checkpoint_folder.h"
#include "tensor/named.h"
#include "train/plan/run_config.h"

namespace lockstep {

// state.json: what a run needs beside tensors to go on with the same bits.
struct TrainState {
  int64_t step = 0;              // steps done
  int64_t updates = 0;           // steps whose gradients were finite
  int64_t skipped_in_a_row = 0;  // steps just before this one without an update
  int64_t seed = 0;
  int64_t slots = 1;
  std::string isa, config_hash, train_hash;
  std::string identity;  // JSON (train/plan/identity.h); empty in checkpoints of older programs
  std::optional<double> best_score;  // of checkpoint.keep_best
  int64_t best_step = 0;
  LossScale::State loss_scale;  // {1, 0} without loss scaling
  bool operator==(const TrainState&) const = default;
};

struct CheckpointContent {
  NamedTensors model, ema, optimizer;  // ema empty: the run has none
  TrainState state;
  // Waits for copies from a device, after which the tensors hold their values. Empty: they do now.
  std::function<void()> ready;
};

// Verifies, then reads all of it. Throws CheckpointError.
CheckpointContent load_checkpoint(const std::filesystem::path& checkpoint);
TrainState load_state(const std::filesystem::path& checkpoint);

// Writes the checkpoints of one run. Rank 0 alone has one. At most one checkpoint is being written.
class CheckpointWriter {
 public:
  CheckpointWriter(RunFolder folder, const CheckpointOptions& options, int64_t ranks);
  // Waits for the checkpoint that is being written. Never throws.
  ~CheckpointWriter();
  // `content` is a snapshot that nobody changes. Returns at once if asynchronous, else when it is
  // on disk. A failure (a full disk) is logged and leaves the older checkpoints; only wait() throws
  // it, so that training goes on.
  void save(CheckpointContent content);
  // Waits for the checkpoint that is being written. Throws EnvironmentError if it failed.
  void wait();

 private:
  void write(const CheckpointContent& content);
  void remove_old(const TrainState& state);

  RunFolder folder_;
  CheckpointOptions options_;
  int64_t ranks_;
  std::future<void> in_flight_;
};

}  // namespace lockstep
