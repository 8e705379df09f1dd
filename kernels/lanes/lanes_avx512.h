// Sixteen floats in one 512-bit register: the vector type that kernels are written against.
//
// `lanes_avx2.h` has the same type as two 256-bit registers. Every operation of the two rounds
// the same way and sums over lanes use the same tree, so a kernel gives equal bits with both.
// Only sources compiled with -mavx512f -mavx512dq may include this file, and they must not use
// inline functions of the standard library: the linker keeps one copy of those for all sources.
#pragma once

#include <immintrin.h>

namespace lockstep::avx512 {

struct Lanes {
  static constexpr int kRegisters = 32;  // how many Lanes the register file holds

  __m512 v;

  static Lanes load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Lanes all(float x) { return {_mm512_set1_ps(x)}; }
  static Lanes load_bfloat16(const void* p);
  static Lanes load_float16(const void* p);
  static Lanes zero() { return {_mm512_setzero_ps()}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  float first() const { return _mm512_cvtss_f32(v); }
};

inline Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Lanes operator*(Lanes a, Lanes b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Lanes operator/(Lanes a, Lanes b) { return {_mm512_div_ps(a.v, b.v)}; }
// a·b + c and c − a·b, rounded once.
inline Lanes fma(Lanes a, Lanes b, Lanes c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Lanes fnma(Lanes a, Lanes b, Lanes c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
inline Lanes min(Lanes a, Lanes b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Lanes max(Lanes a, Lanes b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Lanes sqrt(Lanes a) { return {_mm512_sqrt_ps(a.v)}; }
// To the nearest whole number, ties to even.
inline Lanes round(Lanes a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a·2^n for whole n; a and the result are normal numbers.
inline Lanes times_power_of_two(Lanes a, Lanes n) { return {_mm512_scalef_ps(a.v, n.v)}; }
// Bits of `magic` − bits of a, as a float.
inline Lanes bits_from(int magic, Lanes a) {
  return {
      _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_set1_epi32(magic), _mm512_castps_si512(a.v)))};
}
// a = mantissa·2^exponent with mantissa in [√½, √2), for normal a > 0.
inline void split(Lanes a, Lanes& mantissa, Lanes& exponent) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i shifted = _mm512_sub_epi32(bits, _mm512_set1_epi32(0x3f3504f3));
  const __m512i power = _mm512_srai_epi32(shifted, 23);
  exponent.v = _mm512_cvtepi32_ps(power);
  mantissa.v = _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32(power, 23)));
}
// a < b ? x : y.
inline Lanes choose_less(Lanes a, Lanes b, Lanes x, Lanes y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}
// Sixteen bfloat16 or float16 and back, to the nearest, ties to even.
inline Lanes Lanes::load_bfloat16(const void* p) {
  const __m256i bits = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
inline void store_bfloat16(Lanes a, void* p) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_srli_epi32(
      _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(
                                                    rounded, nan, _mm512_set1_epi32(0x7fc0))));
}
inline Lanes Lanes::load_float16(const void* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
}
inline void store_float16(Lanes a, void* p) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT));
}
// Sum and maximum over the lanes, in every lane. Tree: halves, quarters, pairs, neighbours.
inline Lanes sum_lanes(Lanes a) {
  __m512 t = _mm512_add_ps(a.v, _mm512_shuffle_f32x4(a.v, a.v, 0x4E));
  t = _mm512_add_ps(t, _mm512_shuffle_f32x4(t, t, 0xB1));
  t = _mm512_add_ps(t, _mm512_permute_ps(t, 0x4E));
  return {_mm512_add_ps(t, _mm512_permute_ps(t, 0xB1))};
}
inline Lanes max_lanes(Lanes a) { return {_mm512_set1_ps(_mm512_reduce_max_ps(a.v))}; }

}  // namespace lockstep::avx512
