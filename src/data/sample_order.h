// The order of samples: a pure function of (seed, global index), the same for every number of
// ranks and after every resume (design rule 1). No shuffle buffer, no state but the step.
//
// A permutation of [0, N) per epoch: an 8-round Feistel network on the smallest even number of
// bits that holds N, whose round function is one Philox round keyed by (seed, epoch); values
// outside [0, N) walk the cycle until they fall inside. (Black & Rogaway, "Ciphers with Arbitrary
// Finite Domains", CT-RSA 2002.)
#pragma once

#include <cstdint>

#include "core/philox.h"

namespace lockstep {

class SampleOrder {
 public:
  // `samples` ≥ 1. Throws DataError if 0.
  SampleOrder(int64_t samples, uint64_t seed);
  int64_t samples() const { return samples_; }
  int64_t epoch(int64_t index) const { return index / samples_; }
  // Sample id at global index g = step·B + j, with step counted from 0.
  int64_t id(int64_t index) const;
  // Steps of E epochs: ⌈E·N/B⌉.
  static int64_t steps(int64_t samples, double epochs, int64_t global_batch);

 private:
  int64_t samples_;
  uint64_t seed_;
  int half_bits_;
};

}  // namespace lockstep
