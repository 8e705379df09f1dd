// Two normal numbers from two of 24 random bits, in double, without branches and library calls:
// what loops over many of them vectorise.
//
// Box and Muller, Annals of Mathematical Statistics 29 (1958): r = √(−2 ln(1 − u)), then r·cos 2πv
// and r·sin 2πv. Each operation rounds by itself, so that a loop of any width gives the bits of a
// single call. Errors lie below 3e-16 relative to the radius; a float of it is the correctly
// rounded one but for about one in 10^8.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace lockstep {

struct TwoDoubles {
  double first, second;
};

// ln(k / 2^24) for k in 1 … 2^24. With k = f·2^e, f in [√½, √2) and s = (f−1)/(f+1): ln f =
// 2·artanh s, a series in s².
inline double log_of_share(int32_t k) {
  const auto bits =
      std::bit_cast<int32_t>(static_cast<float>(k));   // exact: k has at most 24 digits
  const int32_t exponent = (bits - 0x3F3504F3) >> 23;  // of √½ upwards
  const double f = std::bit_cast<float>(bits - exponent * (1 << 23));
  const double s = (f - 1) / (f + 1), z = s * s;
  double series = 1.0 / 23;
  series = series * z + 1.0 / 21;
  series = series * z + 1.0 / 19;
  series = series * z + 1.0 / 17;
  series = series * z + 1.0 / 15;
  series = series * z + 1.0 / 13;
  series = series * z + 1.0 / 11;
  series = series * z + 1.0 / 9;
  series = series * z + 1.0 / 7;
  series = series * z + 1.0 / 5;
  series = series * z + 1.0 / 3;
  constexpr double kLn2High = 0x1.62e42fefp-1, kLn2Low = 0x1.473de6af278edp-34;  // ln 2 = the sum
  const double e = exponent - 24;
  return e * kLn2High + (e * kLn2Low + 2 * (s + s * (z * series)));
}

// cos and sin of 2π·m/2^24 for m in 0 … 2^24−1: Taylor series in the nearest quarter turn, |x| ≤
// π/4.
inline TwoDoubles cos_sin_of_share(int32_t m) {
  const int32_t quarter = (m + (1 << 21)) >> 22;
  const double x = (m - quarter * (1 << 22)) * (6.283185307179586 / 16777216), z = x * x;
  double s = 1.0 / 355687428096000;
  s = s * z - 1.0 / 1307674368000;
  s = s * z + 1.0 / 6227020800;
  s = s * z - 1.0 / 39916800;
  s = s * z + 1.0 / 362880;
  s = s * z - 1.0 / 5040;
  s = s * z + 1.0 / 120;
  s = s * z - 1.0 / 6;
  s = x + x * (z * s);
  double c = 1.0 / 20922789888000;
  c = c * z - 1.0 / 87178291200;
  c = c * z + 1.0 / 479001600;
  c = c * z - 1.0 / 3628800;
  c = c * z + 1.0 / 40320;
  c = c * z - 1.0 / 720;
  c = c * z + 1.0 / 24;
  c = c * z - 0.5;
  c = 1 + z * c;
  const double across = (quarter & 1) != 0 ? s : c, up = (quarter & 1) != 0 ? c : s;
  return {((quarter + 1) & 2) != 0 ? -across : across, (quarter & 2) != 0 ? -up : up};
}

// From the upper 24 bits of two random words.
inline TwoDoubles box_muller(uint32_t first, uint32_t second) {
  const double radius = std::sqrt(-2 * log_of_share((1 << 24) - static_cast<int32_t>(first >> 8)));
  const TwoDoubles turn = cos_sin_of_share(static_cast<int32_t>(second >> 8));
  return {radius * turn.first, radius * turn.second};
}

}  // namespace lockstep
