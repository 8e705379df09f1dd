// Sixteen floats in an array: lanes_avx512.h for processors without AVX2, and to check the others
// against.
//
// The same functions; fma rounds twice, so its bits differ from the others'.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace lockstep::generic {

struct Lanes {
  static constexpr int kRegisters = 8;

  float v[16];

  static Lanes load(const float* p) {
    Lanes out;
    std::memcpy(out.v, p, sizeof out.v);
    return out;
  }
  static Lanes all(float x) {
    Lanes out;
    for (float& lane : out.v) lane = x;
    return out;
  }
  static Lanes load_bfloat16(const void* p);
  static Lanes load_float16(const void* p);
  static Lanes zero() { return all(0.0f); }
  void store(float* p) const { std::memcpy(p, v, sizeof v); }
  float first() const { return v[0]; }
};

template <class Fn>
Lanes each(const Fn& fn) {
  Lanes out;
  for (int i = 0; i < 16; ++i) out.v[i] = fn(i);
  return out;
}

inline Lanes operator+(Lanes a, Lanes b) {
  return each([&](int i) { return a.v[i] + b.v[i]; });
}
inline Lanes operator-(Lanes a, Lanes b) {
  return each([&](int i) { return a.v[i] - b.v[i]; });
}
inline Lanes operator*(Lanes a, Lanes b) {
  return each([&](int i) { return a.v[i] * b.v[i]; });
}
inline Lanes operator/(Lanes a, Lanes b) {
  return each([&](int i) { return a.v[i] / b.v[i]; });
}
inline Lanes fma(Lanes a, Lanes b, Lanes c) { return a * b + c; }
inline Lanes fnma(Lanes a, Lanes b, Lanes c) { return c - a * b; }
// The second operand if one is NaN, as x86 does.
inline Lanes min(Lanes a, Lanes b) {
  return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline Lanes max(Lanes a, Lanes b) {
  return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Lanes sqrt(Lanes a) {
  return each([&](int i) { return std::sqrt(a.v[i]); });
}
inline Lanes round(Lanes a) {
  return each([&](int i) { return std::nearbyint(a.v[i]); });
}
inline Lanes times_power_of_two(Lanes a, Lanes n) {
  return each([&](int i) { return std::ldexp(a.v[i], static_cast<int>(n.v[i])); });
}
inline Lanes bits_from(int magic, Lanes a) {
  return each([&](int i) {
    int bits;
    std::memcpy(&bits, &a.v[i], sizeof bits);
    bits = magic - bits;
    float out;
    std::memcpy(&out, &bits, sizeof out);
    return out;
  });
}
inline Lanes choose_less(Lanes a, Lanes b, Lanes x, Lanes y) {
  return each([&](int i) { return a.v[i] < b.v[i] ? x.v[i] : y.v[i]; });
}

inline float from_bits(uint32_t bits) {
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}
inline Lanes Lanes::load_bfloat16(const void* p) {
  uint16_t bits[16];
  std::memcpy(bits, p, sizeof bits);
  return each([&](int i) { return from_bits(uint32_t{bits[i]} << 16); });
}
inline void store_bfloat16(Lanes a, void* p) {
  uint16_t out[16];
  for (int i = 0; i < 16; ++i) {
    uint32_t bits;
    std::memcpy(&bits, &a.v[i], sizeof bits);
    out[i] = a.v[i] != a.v[i] ? 0x7fc0
                              : static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
  std::memcpy(p, out, sizeof out);
}
inline Lanes Lanes::load_float16(const void* p) {
  uint16_t bits[16];
  std::memcpy(bits, p, sizeof bits);
  return each([&](int i) {
    const uint32_t sign = (bits[i] & 0x8000u) << 16, body = bits[i] & 0x7fffu;
    if (body >= 0x7c00u) return from_bits(sign | 0x7f800000u | ((body & 0x3ffu) << 13));
    return from_bits(sign | (body << 13)) *
           0x1p112f;  // moves the exponent's origin; subnormal numbers too
  });
}
inline void store_float16(Lanes a, void* p) {
  uint16_t out[16];
  for (int i = 0; i < 16; ++i) {
    const float x = std::fabs(a.v[i]);
    const uint16_t sign = std::signbit(a.v[i]) ? 0x8000 : 0;
    uint32_t bits;
    if (x != x)
      out[i] = 0x7e00;
    else if (x >= 65520.0f)
      out[i] = sign | 0x7c00;
    else if (x < 0x1p-14f) {  // the sum rounds to units of 2^-24
      const float units = x + 0.5f;
      std::memcpy(&bits, &units, sizeof bits);
      out[i] = sign | static_cast<uint16_t>(bits - 0x3f000000u);
    } else {
      std::memcpy(&bits, &x, sizeof bits);
      bits += 0xfff + ((bits >> 13) & 1);
      out[i] = sign | static_cast<uint16_t>((bits >> 13) - (112u << 10));
    }
  }
  std::memcpy(p, out, sizeof out);
}

// The same tree as the others: halves, quarters, pairs, neighbours.
inline Lanes sum_lanes(Lanes a) {
  for (int step = 8; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) a.v[i] += a.v[i + step];
  return Lanes::all(a.v[0]);
}
inline Lanes max_lanes(Lanes a) {
  for (int step = 8; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) a.v[i] = a.v[i] > a.v[i + step] ? a.v[i] : a.v[i + step];
  return Lanes::all(a.v[0]);
}

}  // namespace lockstep::generic
