#include "kernels/lanes/lane_math.h"
#include "kernels/lanes/lanes_avx512.h"
#include "tests/kernels/lane_probe.h"

namespace lockstep {
namespace {

using V = avx512::Lanes;

void exp16(const float* in, float* out) { exp_lanes(V::load(in)).store(out); }
void log16(const float* in, float* out) { log_lanes(V::load(in)).store(out); }
void sigmoid16(const float* in, float* out) { sigmoid_lanes(V::load(in)).store(out); }
void sum16(const float* in, float* out) { sum_lanes(V::load(in)).store(out); }

}  // namespace

LaneProbe lane_probe_avx512() {
  return {"avx512",  __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"),
          exp16,     log16,
          sigmoid16, sum16};
}

}  // namespace lockstep
