#include "ddp/shard_layout.h"

#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {

ShardLayout::ShardLayout(const ArenaLayout& arena, int ranks, int rank)
    : arena_(&arena), ranks_(ranks), rank_(rank) {
  if (ranks < 1 || rank < 0 || rank >= ranks)
    throw InternalError(fmt::format("a share of rank {} of {}", rank, ranks));
}

int64_t ShardLayout::num_blocks(int rank) const {
  const int64_t blocks = arena_->num_blocks();
  return blocks > rank ? (blocks - rank + ranks_ - 1) / ranks_ : 0;
}

int64_t ShardLayout::num_elements(int rank) const { return count_owned(rank, 0, arena_->size); }

int64_t ShardLayout::count_owned(int rank, int64_t begin, int64_t end) const {
  int64_t count = 0;
  for_owned(rank, begin, end, [&](int64_t from, int64_t to) { count += to - from; });
  return count;
}

}  // namespace lockstep
