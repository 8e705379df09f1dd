// bfloat16 and float16 as bits, written for checking: slow, plain, independent of src/.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace emulation {

inline float bfloat16_to_float(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float out;
  std::memcpy(&out, &wide, sizeof out);
  return out;
}

// To the nearest, ties to even.
inline uint16_t float_to_bfloat16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (x != x) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float float16_to_float(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  float value = exponent == 31  ? (fraction != 0 ? std::nanf("") : INFINITY)
                : exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return (bits & 0x8000) != 0 ? -value : value;
}

// To the nearest, ties to even, subnormal numbers included; beyond 65,519 infinity.
inline uint16_t float_to_float16(float x) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  if (x != x) return sign | 0x7e00;
  const double magnitude = std::fabs(static_cast<double>(x));
  if (magnitude >= 65520) return sign | 0x7c00;
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  if (magnitude == 0 || exponent < -13)
    exponent = -13;  // the spacing of subnormal numbers is 2^-24
  const double units = std::nearbyint(std::ldexp(magnitude, 11 - exponent));
  const double value = std::ldexp(units, exponent - 11);
  if (value >= 0x1p-14) {
    const int power = std::ilogb(value);
    return sign | static_cast<uint16_t>(((power + 15) << 10) +
                                        (static_cast<int>(std::ldexp(value, 10 - power)) - 1024));
  }
  return sign | static_cast<uint16_t>(std::ldexp(value, 24));
}

}  // namespace emulation
