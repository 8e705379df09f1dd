// Gradients of a rank whose model lies on a device: accumulated in an arena there, and added up
// over the ranks on a queue of their own while backward goes on.
//
// One replica computes the local slots one after the other. Without the tree all of them add into
// one arena (memory: parameters × 4 bytes); with it each has its own, so that the tree's pairing
// holds (design.md 3, rule 4). Hooks report each gradient of the step's last backward; once a
// bucket is complete, the communication queue waits for the compute queue's mark at that point and
// reduces that range. Buckets go in one fixed order on all ranks. Nothing here waits on the host,
// so a step may be recorded as a graph.
//
//     gradients.begin_step();
//     for (each local slot) {
//       gradients.begin_slot(slot);
//       for (each micro-batch) { gradients.last_backward(is the step's last); loss.backward(); }
//     }
//     gradients.finish();   // then sum() holds the sum over all slots of all ranks
//
// With a sharded optimizer (shard_layout.h) sum() holds it in the own blocks alone, and half of the
// traffic is saved: a bucket's blocks go to their owners.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ddp/arena.h"
#include "ddp/device/device_communicator.h"
#include "ddp/device/device_tree.h"
#include "ddp/device/device_tree_to_owners.h"
#include "ddp/gradient_buckets.h"
#include "ddp/gradient_sync.h"

namespace lockstep {

class DeviceGradients {
 public:
  // `parameters`: of the replica, in layout order. All references outlive this object. Of `options`
  // count num_slots, tree, overlap, shard and the sizes of buckets.
  DeviceGradients(DeviceCommunicator& comm, Device& device, DeviceQueue& compute,
                  const ArenaLayout& layout, std::vector<at::Tensor> parameters,
                  const GradientSyncOptions& options);
  // Removes the hooks. Never communicates.
  ~DeviceGradients();
  DeviceGradients(const DeviceGradients&) = delete;
  DeviceGradients& operator=(const DeviceGradients&) = delete;

  SlotRange local() const { return local_; }
  // All in the compute queue; the training thread calls them.
  void begin_step();
  void begin_slot(int64_t slot);  // counts from 0 on this rank
  void last_backward(bool last) { last_ = last; }
  // Exchanges what is left (parameters that no loss used count with zeros); the compute queue waits
  // for the sums. Throws InternalError if a gradient was replaced instead of accumulated in place.
  // `also` runs when all buckets are queued and may queue further exchanges on queue().
  void finish(const std::function<void()>& also = {});
  // The buckets of the last step that were exchanged before its backward ended.
  int64_t early_buckets() const { return early_; }
  int64_t num_buckets() const { return static_cast<int64_t>(buckets_.size()); }
  DeviceQueue& queue() { return *queue_; }

  Arena& sum() { return slots_.front(); }

 private:
  void collect(size_t parameter);
  void report(size_t parameter);
  void exchange_ready(bool all);
  void exchange(const Bucket& bucket, int64_t number);
  Arena& current() { return slots_[static_cast<size_t>(slots_.size() == 1 ? 0 : slot_)]; }

  DeviceCommunicator& comm_;
  DeviceQueue& compute_;
  const ArenaLayout& layout_;
  const std::vector<at::Tensor> parameters_;
  const GradientSyncOptions options_;
  const SlotRange local_;
  std::unique_ptr<DeviceQueue> queue_;  // of the exchange
  std::optional<DeviceTree> tree_;
  std::optional<DeviceTreeToOwners> to_owners_;
  std::vector<Arena> slots_;
  std::vector<Bucket> buckets_;
  std::vector<int64_t> bucket_of_;
  // The rest belongs to whoever runs backward: one thread at a time.
  int64_t slot_ = 0;
  bool last_ = false;
  std::vector<char> reported_;
  std::vector<int64_t> missing_;
  size_t exchanged_ = 0;
  int64_t early_ = 0;
};

}  // namespace lockstep
