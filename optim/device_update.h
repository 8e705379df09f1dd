// The whole update of a step where the weights lie: scaling, norm, clip, optimizer, EMA, loss scale
// and the counts, without a host in between, so that it may be recorded in a graph.
//
// What changes from step to step lies in the device's memory. Learning rate and EMA of coming
// updates travel with the step's inputs as rings: update u reads entry u mod kRows, so the host
// need not know which of the last steps were skipped for gradients that were not finite. A skipped
// step changes nothing but the loss scale and the count of skips.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ddp/device/device_communicator.h"
#include "optim/update_setup.h"
#include "tensor/device.h"

namespace lockstep {

// How the ranks of a sharded optimizer meet within an update: its norm is added up of their shares,
// and each gets the weights that the others have updated. The EMA and a low-precision copy are
// whole on every rank.
struct ShareExchange {
  DeviceCommunicator* comm = nullptr;
  // Runs `work`, which queues exchanges, between what the update has queued so far and what it
  // queues next.
  std::function<void(const std::function<void(DeviceQueue&)>& work)> between;

  void add_up(const at::Tensor& values) const;  // f64, over ranks
  void gather_weights(const ShardLayout& shard, Arena& weights) const;
};

struct DeviceUpdateSetup : UpdateSetup {
  DeviceUpdateSetup() = default;
  DeviceUpdateSetup(UpdateSetup what) : UpdateSetup(std::move(what)) {}

  at::Device device = at::kCPU;
  // What `auto` has chosen; none: by choose_on_device (implementation.h).
  std::optional<ImplementationChoice> choice;
  // Of a sharded optimizer. Without it shares are updated as if the other ranks had nothing: for
  // measuring.
  std::optional<ShareExchange> exchange;
};

class DeviceUpdate {
 public:
  static constexpr int64_t kRows = 4;  // more than updates that are on their way at once

  // What run() leaves in `report` f64 [kReport].
  enum Report {
    kNorm,
    kUpdated,
    kScale,
    kNextScale,
    kGoodSteps,
    kUpdates,
    kSkippedInARow,
    kReportSize
  };

  virtual ~DeviceUpdate() = default;
  // Host tensors that carry what updates first … first + kRows − 1 use, to be given to run() on the
  // device.
  using Rows = std::map<std::string, at::Tensor>;
  virtual Rows rows(int64_t first,
                    const std::function<PlannedUpdate(int64_t update)>& planned) const = 0;
  // Queues the update on the current queue. `totals` f64: [0] Σloss, [1] Σcount over slots and
  // ranks.
  virtual void run(const Rows& rows, const at::Tensor& totals, const at::Tensor& report) = 0;
  // f32 scalar that the loss is multiplied by before backward; undefined: none.
  virtual at::Tensor loss_scale() const = 0;
  // All that run() changes beside `report`.
  virtual std::vector<at::Tensor> state() const = 0;
  virtual const std::string& choice() const = 0;  // for the log
};

// By LibTorch's operations over the arena (`optimizer.implementation: foreach` on a device).
std::unique_ptr<DeviceUpdate> make_foreach_update(const DeviceUpdateSetup& setup,
                                                  const std::string& choice);
// For messages: "adam", "sgd".
const char* fused_kind_name(FusedKind kind);
// What optimizer.implementation asks for: `fused` by our kernels (update_kernels.h), on a GPU or
// their twins on the CPU, with the bits of the host's update; `foreach` by LibTorch's operations;
// `auto` is setup.choice.
std::unique_ptr<DeviceUpdate> make_device_update(const DeviceUpdateSetup& setup);

}  // namespace lockstep
