#include "optim/sgd.h"

namespace lockstep {

void sgd_reference(const SgdArrays& arrays, int64_t count, const SgdFactors& f,
                   const GradientFactors& g) {
  for (int64_t i = 0; i < count; ++i) {
    float gradient = arrays.gradients[i] * g.multiplier;
    gradient *= g.clip;
    gradient += f.decay * arrays.weights[i];
    if (arrays.momentum != nullptr) {
      float& buffer = arrays.momentum[i];
      if (f.first) {
        buffer = gradient;
      } else {
        buffer *= f.momentum;
        buffer += f.dampening_rest * gradient;
      }
      if (f.nesterov)
        gradient += f.momentum * buffer;
      else
        gradient = buffer;
    }
    arrays.weights[i] -= f.lr * gradient;
  }
}

}  // namespace lockstep
