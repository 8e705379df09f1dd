// The logistic function of the CPU twins, in float32.
#pragma once

#include <cmath>

namespace lockstep::cpu {

inline float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

}  // namespace lockstep::cpu
