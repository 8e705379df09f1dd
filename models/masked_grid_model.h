// A network that predicts the hidden cells of a grid: what the Sudoku task asks of a model.
#pragma once

#include "models/model.h"

namespace lockstep {

class MaskedGridModel : public Model {
 public:
  // cells u8 [B,81] (0 = hidden) → float32 logits [B,81,9]. Differentiable if gradients are on.
  virtual at::Tensor logits(const at::Tensor& cells) = 0;
  // Sum over the batch of each puzzle's training loss: the mean cross-entropy over the cells with
  // a target (0 = none; a puzzle without any contributes 0). Scalar float32 with a graph.
  virtual at::Tensor loss_sum(const at::Tensor& cells, const at::Tensor& targets) = 0;
};

}  // namespace lockstep
