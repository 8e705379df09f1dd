// The kernels' one source. Included by kernels_generic.cc, kernels_avx2.cc, kernels_avx512.cc,
// which are compiled with -O3 for their instruction set and -ffp-contract=off. Plain loops: the
// compiler turns them into vector code without changing any element's operations.
//
// Includes nothing with inline functions, because those would be compiled for this instruction
// set and might be chosen by the linker for the whole program.
#include "optim/kernels/kernels.h"

namespace lockstep {
namespace {

template <bool kEma>
inline void move_ema(float* __restrict ema, float w, int64_t i, bool copy, float weight) {
  if constexpr (kEma) {
    const float e = ema[i];
    const float moved = e + weight * (w - e);
    ema[i] = copy ? w : moved;
  }
}

template <bool kEma>
void adam_loop(const AdamArrays& arrays, int64_t count, const AdamFactors& f,
               const GradientFactors& g_f, const EmaFactors& e_f) {
  float* __restrict w = arrays.weights;
  const float* __restrict g = arrays.gradients;
  float* __restrict m = arrays.exp_avg;
  float* __restrict v = arrays.exp_avg_sq;
  float* __restrict ema = e_f.ema;
  const float multiplier = g_f.multiplier, clip = g_f.clip, beta1_rest = f.beta1_rest,
              beta2 = f.beta2, beta2_rest = f.beta2_rest, decay = f.decay, shrink = f.shrink,
              step_size = f.step_size, bias2_root = f.bias2_root, eps = f.eps,
              ema_weight = e_f.weight;
  const bool copy = e_f.copy;
  for (int64_t i = 0; i < count; ++i) {
    float weight = w[i];
    float gradient = (g[i] * multiplier) * clip;
    weight = weight * shrink;
    gradient = gradient + decay * weight;
    const float mean = m[i] + beta1_rest * (gradient - m[i]);
    const float square = v[i] * beta2 + (beta2_rest * gradient) * gradient;
    m[i] = mean;
    v[i] = square;
    const float denominator = __builtin_sqrtf(square) / bias2_root + eps;
    weight = weight - (step_size * mean) / denominator;
    w[i] = weight;
    move_ema<kEma>(ema, weight, i, copy, ema_weight);
  }
}

void adam(const AdamArrays& arrays, int64_t count, const AdamFactors& f, const GradientFactors& g,
          const EmaFactors& e) {
  e.ema != nullptr ? adam_loop<true>(arrays, count, f, g, e)
                   : adam_loop<false>(arrays, count, f, g, e);
}

template <bool kMomentum, bool kEma>
void sgd_loop(const SgdArrays& arrays, int64_t count, const SgdFactors& f,
              const GradientFactors& g_f, const EmaFactors& e_f) {
  float* __restrict w = arrays.weights;
  const float* __restrict g = arrays.gradients;
  float* __restrict buffer = arrays.momentum;
  float* __restrict ema = e_f.ema;
  const float multiplier = g_f.multiplier, clip = g_f.clip, lr = f.lr, decay = f.decay,
              momentum = f.momentum, dampening_rest = f.dampening_rest, ema_weight = e_f.weight;
  const bool first = f.first, nesterov = f.nesterov, copy = e_f.copy;
  for (int64_t i = 0; i < count; ++i) {
    float weight = w[i];
    float gradient = (g[i] * multiplier) * clip;
    gradient = gradient + decay * weight;
    float direction = gradient;
    if constexpr (kMomentum) {
      const float moved = buffer[i] * momentum + dampening_rest * gradient;
      const float b = first ? gradient : moved;
      buffer[i] = b;
      const float ahead = gradient + momentum * b;
      direction = nesterov ? ahead : b;
    }
    weight = weight - lr * direction;
    w[i] = weight;
    move_ema<kEma>(ema, weight, i, copy, ema_weight);
  }
}

void sgd(const SgdArrays& arrays, int64_t count, const SgdFactors& f, const GradientFactors& g,
         const EmaFactors& e) {
  if (arrays.momentum != nullptr)
    e.ema != nullptr ? sgd_loop<true, true>(arrays, count, f, g, e)
                     : sgd_loop<true, false>(arrays, count, f, g, e);
  else
    e.ema != nullptr ? sgd_loop<false, true>(arrays, count, f, g, e)
                     : sgd_loop<false, false>(arrays, count, f, g, e);
}

void ema(const float* __restrict weights, int64_t count, const EmaFactors& f) {
  float* __restrict e = f.ema;
  const float weight = f.weight;
  const bool copy = f.copy;
  for (int64_t i = 0; i < count; ++i) move_ema<true>(e, weights[i], i, copy, weight);
}

double sum_of_squares(const float* gradients, int64_t count, float multiplier) {
  typedef float Floats __attribute__((vector_size(32), aligned(4), may_alias));
  typedef double Lanes __attribute__((vector_size(64)));
  Lanes lanes = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const Floats g = *reinterpret_cast<const Floats*>(gradients + i) * multiplier;
    const Lanes d = __builtin_convertvector(g, Lanes);
    lanes += d * d;
  }
  for (int64_t lane = 0; i < count; ++i, ++lane) {
    const double d = gradients[i] * multiplier;
    lanes[lane] += d * d;
  }
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
         ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

}  // namespace
}  // namespace lockstep
