// Element-wise addition of long vectors, the inner loop of every reduction.
#pragma once

#include <cstdint>

namespace lockstep {

// Elements that a node of the tree adds at a time: the operands stay in the L2 cache.
inline constexpr int64_t kCacheElements = 8192;

// to[i] += from[i]
void add_into(float* to, const float* from, int64_t count);
void add_into(double* to, const double* from, int64_t count);
// to[i] = from[i] + to[i]: the same with the left operand on the left (NaN payloads follow it).
void add_left(float* to, const float* left, int64_t count);
void add_left(double* to, const double* left, int64_t count);

}  // namespace lockstep
