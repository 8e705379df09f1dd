// Rows of float32, bfloat16 or float16 as lanes, with their last, short group, and tanh on lanes.
#pragma once

#include <cstdint>

#include "core/float_type.h"
#include "kernels/lanes/lane_math.h"

namespace lockstep {

// How rows of a type are read and written; V's functions do the conversions.
template <class V>
struct Float32Rows {
  using Element = float;
  static V load(const Element* p) { return V::load(p); }
  static void store(V v, Element* p) { v.store(p); }
};
template <class V>
struct Bfloat16Rows {
  using Element = uint16_t;
  static V load(const Element* p) { return V::load_bfloat16(p); }
  static void store(V v, Element* p) { store_bfloat16(v, p); }
};
template <class V>
struct Float16Rows {
  using Element = uint16_t;
  static V load(const Element* p) { return V::load_float16(p); }
  static void store(V v, Element* p) { store_float16(v, p); }
};

// `count` elements, 1 to 16; the lanes behind them are zero, and are not written.
template <class V, class Rows>
inline V load_some(const typename Rows::Element* p, int64_t count) {
  if (count >= 16) return Rows::load(p);
  typename Rows::Element padded[16] = {};
  for (int64_t i = 0; i < count; ++i) padded[i] = p[i];
  return Rows::load(padded);
}
template <class V, class Rows>
inline void store_some(V v, typename Rows::Element* p, int64_t count) {
  if (count >= 16) return Rows::store(v, p);
  typename Rows::Element padded[16];
  Rows::store(v, padded);
  for (int64_t i = 0; i < count; ++i) p[i] = padded[i];
}

// run.operator()<Rows>() with the Rows of a type.
template <class V, class Run>
inline void with_rows(FloatType type, const Run& run) {
  switch (type) {
    case FloatType::kFloat32:
      return run.template operator()<Float32Rows<V>>();
    case FloatType::kBfloat16:
      return run.template operator()<Bfloat16Rows<V>>();
    case FloatType::kFloat16:
      return run.template operator()<Float16Rows<V>>();
  }
}

// tanh within 4 units in the last place. Cephes tanhf (S. Moshier): an odd polynomial below 0.625,
// above it 1 − 2/(e^2x + 1).
template <class V>
inline V tanh_lanes(V x) {
  const V size = max(x, V::zero() - x), square = x * x;
  V p = V::all(-5.70498872745e-3f);
  p = fma(p, square, V::all(2.06390887954e-2f));
  p = fma(p, square, V::all(-5.37397155531e-2f));
  p = fma(p, square, V::all(1.33314422036e-1f));
  p = fma(p, square, V::all(-3.33332819422e-1f));
  const V small = fma(p * square, x, x);
  const V limited = min(V::all(10.0f), size);
  const V large =
      V::all(1.0f) - V::all(2.0f) * reciprocal_lanes(exp_lanes(limited + limited) + V::all(1.0f));
  const V outside = choose_less(x, V::zero(), V::zero() - large, large);
  return choose_less(size, V::all(0.625f), small,
                     choose_less(size, size + V::all(1.0f), outside, x));  // NaN stays
}

}  // namespace lockstep
