// The tree of tree.h where the buffers lie: sums over slots and ranks with the same pairing, queued
// on a device. For `ddp.reduce: tree` on GPUs: equal bits on any number of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ddp/device/device_communicator.h"
#include "ddp/slots.h"

namespace lockstep {

class DeviceTree {
 public:
  // `comm` and `queue` outlive this object. Throws ConfigError if there are fewer slots than ranks.
  DeviceTree(DeviceCommunicator& comm, DeviceQueue& queue, int64_t num_slots);

  SlotRange local() const { return local_; }
  // Collective. slots[i]: local slot i's values, flat and of equal size. Queues work after which
  // slots[0] holds the sum over all slots on every rank; the others are spoilt.
  void sum(const std::vector<at::Tensor>& slots, const std::string& what);

 private:
  void sum_pairs(const at::Tensor& data, const std::string& what);
  void sum_by_owners(const std::vector<at::Tensor>& slots, int64_t lo, int64_t hi,
                     const std::string& what);
  at::Tensor scratch(const at::Tensor& like);

  DeviceCommunicator& comm_;
  DeviceQueue& queue_;
  const int64_t num_slots_;
  const SlotRange local_;
  at::Tensor scratch_;  // kept, so that recorded work finds it at its place
};

// Tree(lo, hi) of slots that all lie here into slots[lo − first], on the current queue; slots[0] is
// slot `first`.
void sum_slots_here(const std::vector<at::Tensor>& slots, int64_t first, int64_t lo, int64_t hi);

}  // namespace lockstep
