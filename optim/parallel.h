// How the loops of this folder use more than one thread: a function that calls fn(0) … fn(n−1) in
// any order on any threads. All results are independent of it.
#pragma once

#include <cstdint>
#include <functional>

namespace lockstep {

using ParallelFor = std::function<void(int64_t items, const std::function<void(int64_t)>& fn)>;

inline void in_order(int64_t items, const std::function<void(int64_t)>& fn) {
  for (int64_t i = 0; i < items; ++i) fn(i);
}

}  // namespace lockstep
