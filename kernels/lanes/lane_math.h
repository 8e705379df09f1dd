// exp, log and sigmoid on sixteen lanes, with a fixed order of operations.
//
// Accuracy (tests/models/lane_math_test.cc measures it against double): exp and log within
// 2 units in the last place, sigmoid within 4. No hardware estimate instructions: those differ
// between makers of processors. Templates over the lane type, so that the AVX2 and the AVX-512
// instances have different names and the linker cannot mix them up.
#pragma once

namespace lockstep {

// e^x; x is clamped to [−87, 88], NaN stays (min and max return their second operand then). Cephes
// expf (S. Moshier): x = n·ln2 + r, degree-6 polynomial.
template <class V>
inline V exp_lanes(V x) {
  x = min(V::all(88.0f), max(V::all(-87.0f), x));
  const V n = round(x * V::all(1.44269504088896341f));
  V r = fnma(n, V::all(0.693359375f), x);
  r = fnma(n, V::all(-2.12194440e-4f), r);
  V p = V::all(1.9875691500e-4f);
  p = fma(p, r, V::all(1.3981999507e-3f));
  p = fma(p, r, V::all(8.3334519073e-3f));
  p = fma(p, r, V::all(4.1665795894e-2f));
  p = fma(p, r, V::all(1.6666665459e-1f));
  p = fma(p, r, V::all(5.0000001201e-1f));
  p = fma(p * r, r, r);
  return times_power_of_two(p + V::all(1.0f), n);
}

// Natural logarithm of normal x > 0. Cephes logf: x = m·2^e, degree-9 polynomial in m − 1.
template <class V>
inline V log_lanes(V x) {
  V m, e;
  split(x, m, e);
  const V f = m - V::all(1.0f);
  const V square = f * f;
  V p = V::all(7.0376836292e-2f);
  p = fma(p, f, V::all(-1.1514610310e-1f));
  p = fma(p, f, V::all(1.1676998740e-1f));
  p = fma(p, f, V::all(-1.2420140846e-1f));
  p = fma(p, f, V::all(1.4249322787e-1f));
  p = fma(p, f, V::all(-1.6668057665e-1f));
  p = fma(p, f, V::all(2.0000714765e-1f));
  p = fma(p, f, V::all(-2.4999993993e-1f));
  p = fma(p, f, V::all(3.3333331174e-1f));
  V y = p * f * square;
  y = fma(e, V::all(-2.12194440e-4f), y);
  y = fnma(V::all(0.5f), square, y);
  return fma(e, V::all(0.693359375f), f + y);
}

// 1/d for d in [1, 2^120]: a first guess from the exponent's bits (within 5.1 %), one cubic and
// one quadratic Newton step. A third of the time of a division.
template <class V>
inline V reciprocal_lanes(V d) {
  V y = bits_from(0x7EF311C7, d);
  V error = fnma(d, y, V::all(1.0f));
  y = fma(y, fma(error, error, error), y);
  error = fnma(d, y, V::all(1.0f));
  return fma(y, error, y);
}

// 1/(1 + e^−x).
template <class V>
inline V sigmoid_lanes(V x) {
  const V limited = max(V::all(-80.0f), x);
  return reciprocal_lanes(exp_lanes(V::zero() - limited) + V::all(1.0f));
}

}  // namespace lockstep
