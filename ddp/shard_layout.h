// Who owns which part of the arena when the optimizer is sharded (design.md 3, rule 8).
//
// The arena is cut at its blocks of 65,536 elements and nowhere else; block b belongs to rank
// b mod n, so shares differ by at most one block, and with more ranks than blocks some own nothing.
// Blocks are dealt out in turn, not in n long runs, because a bucket of gradients is a contiguous
// range: each bucket then has blocks of every rank, and its sum uses all links at once.
// Everything here is a pure function.
//
// Stage 1 of Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter
// Models", SC 2020, 5.1, arXiv:1910.02054.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ddp/arena.h"

namespace lockstep {

class ShardLayout {
 public:
  // One rank owns everything. Implicit: a whole arena is the usual case.
  ShardLayout(const ArenaLayout& arena) : ShardLayout(arena, 1, 0) {}
  // `arena` outlives this object. Throws InternalError unless 0 ≤ rank < ranks.
  ShardLayout(const ArenaLayout& arena, int ranks, int rank);

  const ArenaLayout& arena() const { return *arena_; }
  int ranks() const { return ranks_; }
  int rank() const { return rank_; }  // whose share "own" means
  bool whole() const { return ranks_ == 1; }

  int owner(int64_t block) const { return static_cast<int>(block % ranks_); }
  bool owns(int64_t element) const { return owner(element / ArenaLayout::kBlockElements) == rank_; }
  // Blocks and elements (the arena's last block may be short) that `rank` owns.
  int64_t num_blocks(int rank) const;
  int64_t num_elements(int rank) const;

  // Where an element lies in its owner's share, which holds the owner's blocks in order.
  int64_t place(int64_t element) const {
    const int64_t block = element / ArenaLayout::kBlockElements;
    return block / ranks_ * ArenaLayout::kBlockElements + element % ArenaLayout::kBlockElements;
  }

  // Calls fn(begin, end) for the parts of [begin, end) that `rank` owns, in order, as long as they
  // go.
  template <class Fn>
  void for_owned(int rank, int64_t begin, int64_t end, const Fn& fn) const {
    if (whole() && begin < end) return fn(begin, end);
    const int64_t first = begin / ArenaLayout::kBlockElements;
    for (int64_t block = first + (rank - first % ranks_ + ranks_) % ranks_;; block += ranks_) {
      const int64_t from = std::max(begin, block * ArenaLayout::kBlockElements);
      const int64_t to = std::min(end, (block + 1) * ArenaLayout::kBlockElements);
      if (from >= end) return;
      fn(from, to);
    }
  }
  // Elements of [begin, end) that `rank` owns.
  int64_t count_owned(int rank, int64_t begin, int64_t end) const;

 private:
  const ArenaLayout* arena_;
  int ranks_, rank_;
};

}  // namespace lockstep
