// Dropout whose mask is a function of seed, sample, step and element alone (design.md 3, rule 3),
// on the GPU and on the CPU. The mask is made where it is used, in backward once more: nothing is
// kept.
//
//     y = x · (u < share ? 0 : kept),   u = the Philox uniform of (sample, step, first + element)
//
// Elements count [channels, positions] in row-major order whatever the order in memory, so a mask
// does not depend on it. The factor is rounded to x's type before it multiplies, as by a tensor of
// factors: equal bits everywhere.
//
// Srivastava et al., "Dropout", JMLR 15, 2014. Memory: reads x and writes y.
#pragma once

#include <cstdint>

#include "core/float_type.h"

namespace lockstep {

struct DropoutShape {
  int64_t batch = 0, channels = 0, positions = 0;  // channels · positions < 2^34
  bool channels_last =
      false;  // x [batch, positions, channels], dense; else [batch, channels, positions]
  float share = 0, kept = 1;  // kept: 1/(1 − share)
  int64_t first = 0;          // a multiple of 4
  FloatType type = FloatType::kFloat32;
};

// `numbers` i64 [2 + batch] where x lies: the Philox key (its first word low), the step, the
// samples' ids. A recorded step reads them anew at each replay.
namespace cuda {
// batch ≤ 65,535.
void dropout(const DropoutShape& shape, const int64_t* numbers, const void* x, void* y,
             void* stream);
}  // namespace cuda

namespace cpu {
void dropout(const DropoutShape& shape, const int64_t* numbers, const void* x, void* y,
             void* stream);
}  // namespace cpu

}  // namespace lockstep
