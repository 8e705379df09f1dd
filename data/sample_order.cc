#include "data/sample_order.h"

#include <cmath>

#include "core/errors.h"

namespace lockstep {

SampleOrder::SampleOrder(int64_t samples, uint64_t seed, Purpose purpose)
    : samples_(samples), key_(Stream(seed, purpose).key()), half_bits_(1) {
  if (samples < 1)
    throw DataError("the dataset holds no samples", "make or convert some: lockstep data --help");
  // 2·31 bits hold 2^62 samples; 2·32 hold every int64_t.
  while (half_bits_ < 32 && (uint64_t{1} << (2 * half_bits_)) < static_cast<uint64_t>(samples))
    ++half_bits_;
}

uint64_t SampleOrder::permute(uint64_t x, uint64_t epoch) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  const auto low = static_cast<uint32_t>(epoch), high = static_cast<uint32_t>(epoch >> 32);
  uint64_t left = x >> half_bits_, right = x & mask;
  for (uint32_t round = 0; round < 8; ++round) {
    const uint64_t f = philox4x32({static_cast<uint32_t>(right), round, low, high}, key_, 8)[0];
    const uint64_t next = left ^ (f & mask);
    left = right;
    right = next;
  }
  return (left << half_bits_) | right;
}

int64_t SampleOrder::id(int64_t index) const {
  const auto samples = static_cast<uint64_t>(samples_);
  const auto epoch = static_cast<uint64_t>(index) / samples;
  uint64_t x = static_cast<uint64_t>(index) % samples;
  do x = permute(x, epoch);
  while (x >= samples);
  return static_cast<int64_t>(x);
}

int64_t SampleOrder::steps(int64_t samples, double epochs, int64_t global_batch) {
  const double exact = epochs * static_cast<double>(samples);
  const double nearest = std::round(exact);
  const auto visits =
      static_cast<int64_t>(std::abs(exact - nearest) < 1e-6 ? nearest : std::ceil(exact));
  return visits / global_batch + (visits % global_batch != 0);
}

}  // namespace lockstep
