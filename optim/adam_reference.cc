#include <cmath>

#include "optim/adam.h"

namespace lockstep {

void adam_reference(const AdamArrays& arrays, int64_t count, const AdamFactors& f,
                    const GradientFactors& g) {
  for (int64_t i = 0; i < count; ++i) {
    float gradient = arrays.gradients[i] * g.multiplier;
    gradient *= g.clip;
    arrays.weights[i] *= f.shrink;
    gradient += f.decay * arrays.weights[i];

    const float towards = gradient - arrays.exp_avg[i];
    arrays.exp_avg[i] += f.beta1_rest * towards;
    arrays.exp_avg_sq[i] *= f.beta2;
    arrays.exp_avg_sq[i] += f.beta2_rest * gradient * gradient;

    float denominator = std::sqrt(arrays.exp_avg_sq[i]);
    denominator /= f.bias2_root;
    denominator += f.eps;
    arrays.weights[i] -= f.step_size * arrays.exp_avg[i] / denominator;
  }
}

}  // namespace lockstep
