// Weights, gradients and optimizer of a network, as a training step without ranks has them.
#pragma once

#include <memory>
#include <string>

#include "models/model.h"
#include "optim/clip.h"
#include "optim/ema.h"
#include "optim/optimizers.h"

namespace lockstep {

class TrainedArenas {
 public:
  // `model` outlives this; its parameters come to lie in the arena.
  TrainedArenas(Model& model, const std::string& optimizer)
      : layout_(ArenaLayout::of(model.parameters())), weights_(layout_), gradients_(layout_), kinds_(optimizers()),
        optimizer_(kinds_.make(Choice(kinds_, optimizer), layout_)) {
    weights_.load(model.parameters(), "", "the initial weights");
    model.alias_parameters(weights_.views());
    for (size_t i = 0; i < layout_.entries.size(); ++i) model.parameters()[i].tensor.mutable_grad() = gradients_.views()[i];
  }

  // Backward, clipping to a norm of 1, update.
  void descend(const at::Tensor& loss, double lr) {
    loss.backward();
    update(lr);
  }
  // Clipping to a norm of 1, update.
  void update(double lr) { update(lr, {}, 0); }
  // The same with the average of the weights, `updates` before this one.
  void update(double lr, const EmaOptions& ema, int64_t updates) {
    UpdateTerms terms{.lr = lr};
    terms.gradient.clip = clip_coefficient(norm(), 1.0);
    if (ema.enabled()) {
      if (!average_) average_ = std::make_unique<Arena>(layout_);
      terms.ema = average_.get();
      terms.ema_move = ema_move(ema, updates);
    }
    optimizer_->step(weights_, gradients_, terms);
  }
  double norm() const { return gradient_norm(gradients_); }
  void clear_gradients() { gradients_.flat().zero_(); }

 private:
  ArenaLayout layout_;
  Arena weights_, gradients_;
  std::unique_ptr<Arena> average_;  // made when it is asked for
  decltype(optimizers()) kinds_;
  std::unique_ptr<Optimizer> optimizer_;
};

}  // namespace lockstep
