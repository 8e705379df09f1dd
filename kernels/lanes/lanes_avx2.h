// Sixteen floats in two 256-bit registers: `lanes_avx512.h` for processors without AVX-512.
//
// Same operations, same rounding, same order of sums over lanes. Only sources compiled with
// -mavx2 -mfma may include this file.
#pragma once

#include <immintrin.h>

namespace lockstep::avx2 {

struct Lanes {
  static constexpr int kRegisters = 8;  // how many Lanes the register file holds

  __m256 lo, hi;

  static Lanes load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static Lanes all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static Lanes load_bfloat16(const void* p);
  static Lanes load_float16(const void* p);
  static Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  void store(float* p) const {
    _mm256_storeu_ps(p, lo);
    _mm256_storeu_ps(p + 8, hi);
  }
  float first() const { return _mm256_cvtss_f32(lo); }
};

inline Lanes operator+(Lanes a, Lanes b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline Lanes operator-(Lanes a, Lanes b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline Lanes operator*(Lanes a, Lanes b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline Lanes operator/(Lanes a, Lanes b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline Lanes fma(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline Lanes fnma(Lanes a, Lanes b, Lanes c) {
  return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}
inline Lanes min(Lanes a, Lanes b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
inline Lanes max(Lanes a, Lanes b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
inline Lanes sqrt(Lanes a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
inline Lanes round(Lanes a) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.lo, kNearest), _mm256_round_ps(a.hi, kNearest)};
}

inline __m256 half_times_power_of_two(__m256 a, __m256 n) {
  const __m256i power = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(power, 23)));
}
inline Lanes times_power_of_two(Lanes a, Lanes n) {
  return {half_times_power_of_two(a.lo, n.lo), half_times_power_of_two(a.hi, n.hi)};
}

inline __m256 half_bits_from(int magic, __m256 a) {
  return _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_set1_epi32(magic), _mm256_castps_si256(a)));
}
inline Lanes bits_from(int magic, Lanes a) {
  return {half_bits_from(magic, a.lo), half_bits_from(magic, a.hi)};
}

inline void half_split(__m256 a, __m256& mantissa, __m256& exponent) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i power =
      _mm256_srai_epi32(_mm256_sub_epi32(bits, _mm256_set1_epi32(0x3f3504f3)), 23);
  exponent = _mm256_cvtepi32_ps(power);
  mantissa = _mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(power, 23)));
}
inline void split(Lanes a, Lanes& mantissa, Lanes& exponent) {
  half_split(a.lo, mantissa.lo, exponent.lo);
  half_split(a.hi, mantissa.hi, exponent.hi);
}

// a < b ? x : y.
inline Lanes choose_less(Lanes a, Lanes b, Lanes x, Lanes y) {
  return {_mm256_blendv_ps(y.lo, x.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.hi, x.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}

// Sixteen bfloat16 or float16 and back, to the nearest, ties to even.
inline __m256 half_from_bfloat16(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline __m256i half_to_bfloat16(__m256 a) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_srli_epi32(
      _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  return _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0),
                            _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q)));
}
inline Lanes Lanes::load_bfloat16(const void* p) {
  const auto* from = static_cast<const __m128i*>(p);
  return {half_from_bfloat16(_mm_loadu_si128(from)), half_from_bfloat16(_mm_loadu_si128(from + 1))};
}
inline void store_bfloat16(Lanes a, void* p) {
  const __m256i packed = _mm256_packus_epi32(half_to_bfloat16(a.lo), half_to_bfloat16(a.hi));
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xD8));
}
inline Lanes Lanes::load_float16(const void* p) {
  const auto* from = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(from)), _mm256_cvtph_ps(_mm_loadu_si128(from + 1))};
}
inline void store_float16(Lanes a, void* p) {
  auto* to = static_cast<__m128i*>(p);
  _mm_storeu_si128(to, _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(to + 1, _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}

inline Lanes sum_lanes(Lanes a) {
  __m256 t = _mm256_add_ps(a.lo, a.hi);
  t = _mm256_add_ps(t, _mm256_permute2f128_ps(t, t, 1));
  t = _mm256_add_ps(t, _mm256_permute_ps(t, 0x4E));
  t = _mm256_add_ps(t, _mm256_permute_ps(t, 0xB1));
  return {t, t};
}
inline Lanes max_lanes(Lanes a) {
  __m256 t = _mm256_max_ps(a.lo, a.hi);
  t = _mm256_max_ps(t, _mm256_permute2f128_ps(t, t, 1));
  t = _mm256_max_ps(t, _mm256_permute_ps(t, 0x4E));
  t = _mm256_max_ps(t, _mm256_permute_ps(t, 0xB1));
  return {t, t};
}

}  // namespace lockstep::avx2
