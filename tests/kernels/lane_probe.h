// Lets tests call the lane functions, which only sources compiled for one instruction set can.
#pragma once

namespace lockstep {

using LaneFunction = void (*)(const float* in, float* out);  // sixteen floats each

struct LaneProbe {
  const char* isa;
  bool runs_here;
  LaneFunction exp, log, sigmoid, sum;
};

LaneProbe lane_probe_avx2();
LaneProbe lane_probe_avx512();

}  // namespace lockstep
