// Which gradients travel together: contiguous ranges of the arena, from its end to its start,
// since backward finishes the last layers first.
//
// The first bucket is small, so that the first exchange starts early.
// Source: Li et al., "PyTorch Distributed", VLDB 2020, 3.2.3, arXiv:2006.15704.
#pragma once

#include <cstdint>
#include <vector>

#include "ddp/arena.h"

namespace lockstep {

struct Bucket {
  int64_t begin = 0, end = 0;                        // elements of the arena
  int64_t first_parameter = 0, last_parameter = -1;  // inclusive, in parameter order
  int64_t parameters() const { return last_parameter - first_parameter + 1; }
};

// In the order of exchange. Each holds at least one parameter and at most `bucket_bytes` unless
// one parameter is larger; the first at most `first_bytes` likewise.
std::vector<Bucket> make_buckets(const ArenaLayout& layout, int64_t bucket_bytes,
                                 int64_t first_bytes);

}  // namespace lockstep
