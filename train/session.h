// What one rank holds while it trains: made in order at start, destroyed in reverse.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/run_folder.h"
#include "data/dataset.h"
#include "ddp/arena.h"
#include "ddp/communicator.h"
#include "ddp/shard_layout.h"
#include "optim/optimizers.h"
#include "tasks/task.h"
#include "tensor/device.h"
#include "train/checkpoint.h"
#include "train/host_copy.h"
#include "train/plan/run_config.h"
#include "train/plan/run_plan.h"
#include "train/precision.h"

namespace lockstep {

// Where and as which attempt a rank runs.
struct RankPlace {
  RunFolder folder;
  int attempt = 0;
};

class Session {
 public:
  // Collective. Opens the data, makes the model and its replicas, and compares with the other ranks
  // what must be equal. Then loads the folder's newest good checkpoint, or the weights that `init`
  // names. `loaded` and `plan` are equal on all ranks. `device`: where this rank computes; null:
  // the CPU. Throws any Error.
  Session(LoadedConfig loaded, RunPlan plan, RankPlace place,
          std::unique_ptr<Communicator> communicator, std::unique_ptr<Device> device = nullptr);

  const RunConfig& config() const { return *loaded_.config; }
  const Kinds& kinds() const { return *loaded_.kinds; }
  const RunPlan& plan() const { return plan_; }
  const RankPlace& place() const { return place_; }
  Communicator& communicator() { return *communicator_; }
  Device& device() { return *device_; }
  bool is_first() const { return communicator_->rank() == 0; }

  const Task& task() const { return *task_; }
  const Dataset& train_data() const { return *train_data_; }
  const Dataset* validation_data() const { return validation_data_.get(); }

  // One replica per slot thread; all alias weights(), or its low-precision copy.
  std::vector<Model*> replicas() const;
  Arena& weights() { return *weights_; }
  // Call after every change of weights(): refreshes the replicas' low-precision copies, if any.
  void refresh_low_precision_weights();
  // That copy as one flat tensor; undefined if there is none.
  at::Tensor low_precision_weights() const {
    return low_weights_ ? low_weights_->flat() : at::Tensor();
  }
  bool has_ema() const { return ema_ != nullptr; }
  Arena& ema() { return *ema_; }
  Optimizer& optimizer() { return *optimizer_; }
  const ArenaLayout& layout() const { return layout_; }
  // Which blocks this rank's optimizer owns: all of them without ddp.shard_optimizer.
  const ShardLayout& shard() const { return *shard_; }
  // Replicas whose weights are the EMA (or the weights themselves without EMA), for evaluation.
  std::vector<Model*> evaluation_replicas() const;

  TrainState& state() { return state_; }
  // Collective. On rank 0 a copy of everything that a checkpoint holds, after a step's update and
  // EMA. The other ranks send their share of the optimizer's state and get nothing.
  CheckpointContent snapshot();
  // The end of the last snapshot's copies; the next step waits for it. Null on a CPU.
  std::shared_ptr<const DeviceMark> snapshot_done() const {
    return copies_ ? copies_->done() : nullptr;
  }

 private:
  void make_models();
  void compare_ranks();
  void restore();
  void start_fresh();
  void make_low_precision_weights();  // last: until then the replicas alias weights()
  void expect_own_checkpoint(const TrainState& was, const std::string& from) const;
  void load(const CheckpointContent& content, const std::string& from);

  LoadedConfig loaded_;
  RunPlan plan_;
  RankPlace place_;
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Task> task_;
  std::unique_ptr<Dataset> train_data_, validation_data_;
  ArenaLayout layout_;
  std::optional<ShardLayout> shard_;
  std::unique_ptr<Arena> weights_, ema_;
  std::unique_ptr<LowPrecisionWeights> low_weights_;
  std::vector<std::unique_ptr<Model>> replicas_, evaluation_replicas_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<HostCopies> copies_;
  TrainState state_;
};

}  // namespace lockstep
