// Compiled with -O3 (ddp/CMakeLists.txt) so that the loops use vector registers; there is
// one addition per element, so no instruction set changes a bit.
#include "ddp/add.h"

namespace lockstep {
namespace {

template <class T>
void add(T* __restrict to, const T* __restrict from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}
template <class T>
void left(T* __restrict to, const T* __restrict from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i] + to[i];
}

}  // namespace

void add_into(float* to, const float* from, int64_t count) { add(to, from, count); }
void add_into(double* to, const double* from, int64_t count) { add(to, from, count); }
void add_left(float* to, const float* from, int64_t count) { left(to, from, count); }
void add_left(double* to, const double* from, int64_t count) { left(to, from, count); }

}  // namespace lockstep
