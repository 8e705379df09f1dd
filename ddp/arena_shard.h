// One rank's share of a quantity that has the arena's layout: the moments of an optimizer.
//
// Holds the rank's own blocks one after the other; elements are named by their place in the arena.
// Whole (one rank), it is an arena. Names of parameters stay what files know: a share is cut by
// blocks, so a parameter may lie on several ranks, and checkpoints never tell.
#pragma once

#include <string>

#include "ddp/communicator.h"
#include "ddp/shard_layout.h"

namespace lockstep {

class ArenaShard {
 public:
  // Zeros.
  explicit ArenaShard(const ShardLayout& layout);
  // Moves the values to where an arena on a device is updated.
  void to(at::Device device);
  const at::Tensor& flat() const { return flat_; }
  const ShardLayout& layout() const { return layout_; }
  int64_t size() const { return flat_.numel(); }

  // Element `element` of the arena, which must be this rank's; contiguous to the end of its block
  // (whole: to the end).
  float* at(int64_t element) const { return flat_.data_ptr<float>() + layout_.place(element); }
  // [begin, end) within one block (whole: any range), as a flat tensor that aliases the share.
  at::Tensor range(int64_t begin, int64_t end) const;

  // Views by parameter, PREFIX + name. Throws InternalError unless the share is whole.
  NamedTensors named(const std::string& prefix) const;
  // Takes the own elements of values by name. Strict as Arena::load; throws CheckpointError.
  void load(const NamedTensors& values, const std::string& prefix, const std::string& from);
  // Collective. On rank 0 a copy of all shares, put together, by parameter; elsewhere nothing.
  NamedTensors gather(Communicator& comm, const std::string& prefix) const;

 private:
  ShardLayout layout_;
  at::Tensor flat_;
};

// Collective. Every rank's own blocks of `arena` go to all others, so that all hold the same arena.
void all_gather_blocks(Communicator& comm, const ShardLayout& layout, Arena& arena);

// Collective. values[b] of each block b from its owner to all ranks.
void all_gather_block_values(Communicator& comm, const ShardLayout& layout,
                             std::vector<double>& values);

}  // namespace lockstep
