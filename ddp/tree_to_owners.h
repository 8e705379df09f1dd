// Adds up slot buffers over all ranks in the order of the tree (slots.h), like TreeReduction, but
// each rank gets the sum of its own blocks only (shard_layout.h): half of the traffic.
//
// A rank first adds what lies whole within its slots: the largest nodes of the tree, of which it
// has one if ranks and slots are powers of two and at most 2·log2(slots) else. Then every pair of
// ranks exchanges once: each sends its nodes' values of the other's blocks. The owner adds all
// nodes along the tree, so the bits are those of TreeReduction on any number of ranks. n − 1
// messages a rank; halving would take log2(n), but its ranges are not those of the owners.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ddp/communicator.h"
#include "ddp/shard_layout.h"
#include "ddp/slots.h"

namespace lockstep {

class TreeToOwners {
 public:
  // `comm` outlives this object. Throws ConfigError if there are fewer slots than ranks.
  TreeToOwners(Communicator& comm, int64_t num_slots, const ShardLayout& layout);

  // Collective. `slots[i]`: element 0 of local slot i's arena. Afterwards the own elements of
  // [begin, end) in slots[0] hold the sum over all slots; all others of that range are spoilt.
  void sum(std::span<float* const> slots, int64_t begin, int64_t end, const std::string& what);

 private:
  // A range of the arena that is being added.
  struct Range {
    int64_t begin, end;
  };
  void exchange_with(int peer, std::span<float* const> slots, Range range, const std::string& what);
  // Values of [range] that `owner` owns, of each of this rank's nodes, one after the other.
  void pack(int owner, std::span<float* const> slots, Range range, float* to) const;
  float* add_node(int64_t lo, int64_t hi, int64_t offset, int64_t count);

  Communicator& comm_;
  const int64_t num_slots_;
  const ShardLayout layout_;
  std::vector<std::vector<SlotRange>> nodes_;  // by rank
  std::map<int64_t, SlotRange> node_at_;       // of all ranks, by first slot
  std::map<int64_t, float*> values_;           // own elements of a node, by its first slot
  std::vector<float> out_, in_;                // kept between calls
};

// The largest nodes of Tree(0, slots) whose slots all belong to `rank`, in order.
std::vector<SlotRange> nodes_of_rank(int64_t slots, int64_t ranks, int64_t rank);

}  // namespace lockstep
