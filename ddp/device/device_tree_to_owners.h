// The sums of tree_to_owners.h where the buffers lie: each rank gets the sum over all slots of its
// own blocks alone, with the bits of DeviceTree. For `ddp.shard_optimizer` with `ddp.reduce: tree`
// on GPUs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ddp/device/device_communicator.h"
#include "ddp/shard_layout.h"
#include "ddp/slots.h"

namespace lockstep {

class DeviceTreeToOwners {
 public:
  // `comm` and `queue` outlive this object. Throws ConfigError if there are fewer slots than ranks.
  DeviceTreeToOwners(DeviceCommunicator& comm, DeviceQueue& queue, int64_t num_slots,
                     const ShardLayout& layout);

  // Collective. slots[i]: the whole arena of local slot i, flat. Queues work after which the own
  // elements of [begin, end) in slots[0] hold the sum over all slots; all others of that range are
  // spoilt.
  void sum(const std::vector<at::Tensor>& slots, int64_t begin, int64_t end,
           const std::string& what);

 private:
  // A range of the arena that is being added.
  struct Range {
    int64_t begin, end;
  };
  void exchange_with(int peer, const std::vector<at::Tensor>& slots, Range range,
                     const std::string& what);
  // Values of `range` that `owner` owns, of each of this rank's nodes, one after the other.
  void pack(int owner, const std::vector<at::Tensor>& slots, Range range, const at::Tensor& to);
  void add_node(int64_t lo, int64_t hi);
  // The rows of `rank`'s nodes in in_, [nodes, own elements], flat.
  at::Tensor rows_of(int rank, int64_t own) const;

  DeviceCommunicator& comm_;
  DeviceQueue& queue_;
  const int64_t num_slots_;
  const ShardLayout layout_;
  std::vector<std::vector<SlotRange>> nodes_;  // by rank
  std::map<int64_t, SlotRange> node_at_;       // of all ranks, by first slot
  std::map<int64_t, at::Tensor> values_;       // own elements of a node, by its first slot
  at::Tensor out_, in_;  // kept, so that recorded work finds them at their places
};

}  // namespace lockstep
