#include "data/shards/fletcher32.h"

#include <algorithm>

namespace lockstep {
namespace {

// The representative in 1 … 65535 (0 only for 0).
uint64_t fold(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
  return sum;
}

}  // namespace

uint32_t fletcher32(const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  uint64_t sum1 = 0, sum2 = 0;
  size_t words = size / 2;
  while (words > 0) {
    // 2^22 words: sum1 < 2^16 + 2^38, sum2 < 2^16 + 2^60.
    const size_t block = std::min<size_t>(words, size_t{1} << 22);
    for (size_t i = 0; i < block; ++i) {
      sum1 += uint64_t{bytes[2 * i]} << 8 | bytes[2 * i + 1];
      sum2 += sum1;
    }
    sum1 = fold(sum1);
    sum2 = fold(sum2);
    bytes += 2 * block;
    words -= block;
  }
  if (size % 2 != 0) {
    sum1 = fold(sum1 + (uint64_t{*bytes} << 8));
    sum2 = fold(sum2 + sum1);
  }
  return static_cast<uint32_t>(sum2 << 16 | sum1);
}

}  // namespace lockstep
