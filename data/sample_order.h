// The order of samples: a pure function of (seed, global index), the same for every number of
// ranks and after every resume (design rule 1). No shuffle buffer, no state but the step.
//
// Index g belongs to epoch e = ⌊g/N⌋ and to position p = g mod N in it; each epoch is a permutation
// of [0, N). The permutation is part of the promise "same config, same samples", so here it is in
// full; all words are unsigned, >> and & act on them, xor is bitwise:
//
//   h     the smallest integer ≥ 1 with 2^(2h) ≥ N; mask = 2^h − 1
//   key   Stream(seed, Purpose::kOrder).key(): the two words of SplitMix64(seed xor SplitMix64(1))
//   x = p; repeat
//     left = x >> h, right = x & mask
//     for round = 0 … 7:
//       f = word 0 of Philox4x32-8(counter, key)
//           with counter = {right, round, low 32 bits of e, high 32 bits of e}
//       (left, right) = (right, left xor (f & mask))
//     x = left·2^h + right
//   until x < N        (cycle walking: fewer than 4 turns on average, since 2^(2h) < 4N for N > 1)
//   id = x
//
// Feistel rounds make any round function a permutation, and walking the cycle restricts it to
// [0, N) (Black & Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002). Eight rounds of a
// good function are well past the four of Luby & Rackoff; Philox4x32 passes BigCrush from seven
// rounds on (Salmon et al., SC 2011, table 2), and a single one would be nearly linear on halves of
// a few bits.
#pragma once

#include <cstdint>

#include "core/philox.h"

namespace lockstep {

class SampleOrder {
 public:
  // `samples` ≥ 1. Throws DataError if 0. Another purpose gives another order by the same rule
  // (its number in place of the 1 above).
  SampleOrder(int64_t samples, uint64_t seed, Purpose purpose = Purpose::kOrder);
  int64_t samples() const { return samples_; }
  int64_t epoch(int64_t index) const { return index / samples_; }
  // Sample id at global index g = step·B + j, with step counted from 0. O(1); any thread.
  int64_t id(int64_t index) const;
  // Steps of E epochs: ⌈E·N/B⌉. E·N within 1e-6 of an integer counts as that integer, so that
  // `epochs: 0.1` of 30 samples are 3.
  static int64_t steps(int64_t samples, double epochs, int64_t global_batch);

 private:
  uint64_t permute(uint64_t x, uint64_t epoch) const;

  int64_t samples_;
  PhiloxKey key_;
  int half_bits_;
};

}  // namespace lockstep
