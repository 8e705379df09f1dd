// A network that sees a noisy picture and predicts noise, picture or velocity: what the
// image_diffusion task and its samplers ask of a model.
#pragma once

#include <cstdint>

#include "models/model.h"

namespace lockstep {

struct DenoiserInput {
  at::Tensor x;               // f32 [B, C, H, W]
  at::Tensor t;               // i64 [B]
  at::Tensor self_condition;  // f32 like x; undefined: zeros. Ignored by networks without it
  at::Tensor classes;         // i64 [B], -1: no class. Networks with classes need it
  at::Tensor dropout;  // i64 [2 + B], of dropout_numbers() (philox_dropout.h); undefined: none
                       // (evaluation)

  DenoiserInput on(at::Device device) const {
    const auto moved = [&](const at::Tensor& tensor) {
      return tensor.defined() ? tensor.to(device) : tensor;
    };
    return {moved(x), moved(t), moved(self_condition), moved(classes), moved(dropout)};
  }
};

struct DenoiserFacts {
  int64_t channels = 3;
  int64_t out_channels = 3;  // of the prediction
  bool self_condition = false;
  bool learned_variance = false;
  bool for_diffusion = true;  // false: time features that GaussianDiffusion does not take
  int64_t divisor = 1;        // height and width must be its multiples
  int64_t num_classes = 0;    // 0: unconditional
  double class_drop = 0;      // share of training samples whose class is hidden
  double dropout = 0;         // share of activations that training drops
};

class Denoiser : public Model {
 public:
  const DenoiserFacts& facts() const { return facts_; }
  // f32 [B, out_channels, H, W]. Differentiable if gradients are on.
  virtual at::Tensor predict(const DenoiserInput& input) = 0;

 protected:
  DenoiserFacts facts_;
};

}  // namespace lockstep
