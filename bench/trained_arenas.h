// Weights, gradients and optimizer of a network, as a training step without ranks has them.
#pragma once

#include <memory>
#include <string>

#include <ATen/ATen.h>

#include "models/model.h"
#include "optim/clip.h"
#include "optim/device_update.h"
#include "optim/ema.h"
#include "optim/optimizers.h"

namespace lockstep {

class TrainedArenas {
 public:
  // `model` outlives this and lies on `device`; its parameters come to lie in the arena.
  TrainedArenas(Model& model, const std::string& optimizer, at::Device device = at::kCPU)
      : layout_(ArenaLayout::of(model.parameters())),
        weights_(layout_, device),
        gradients_(layout_, device),
        kinds_(optimizers()),
        optimizer_(kinds_.make(Choice(kinds_, optimizer), layout_)) {
    weights_.load(model.parameters(), "", "the initial weights");
    model.alias_parameters(weights_.views());
    if (!device.is_cpu()) prepare(device);
    for (size_t i = 0; i < layout_.entries.size(); ++i)
      model.parameters()[i].tensor.mutable_grad() = gradients_.views()[i];
  }

  // Backward, clipping to a norm of 1, update.
  void descend(const at::Tensor& loss, double lr) {
    loss.backward();
    update(lr);
  }
  // Clipping to a norm of 1, update.
  void update(double lr) {
    if (!device_update_) return update(lr, {}, 0);
    DeviceUpdate::Rows rows = device_update_->rows(
        device_updates_++, [&](int64_t) { return PlannedUpdate{lr, std::nullopt}; });
    for (auto& [name, tensor] : rows) tensor = tensor.to(totals_.device());
    device_update_->run(rows, totals_, report_);
  }
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
  double norm() const {
    if (!device_update_) return gradient_norm(gradients_);
    Arena host(layout_);
    host.flat().copy_(gradients_.flat());
    return gradient_norm(host);
  }
  void clear_gradients() { gradients_.flat().zero_(); }

 private:
  // As steps on a device: the whole update where the weights lie.
  void prepare(at::Device device) {
    optimizer_->to(device);
    DeviceUpdateSetup setup({optimizer_.get(), &weights_, &gradients_});
    setup.clip_norm = 1;
    setup.device = device;
    device_update_ = make_device_update(setup);
    totals_ =
        at::tensor({0.0, 1.0}, at::kDouble).to(device);  // a finite loss, gradients that count once
    report_ = at::zeros({DeviceUpdate::kReportSize}, totals_.options());
  }

  ArenaLayout layout_;
  Arena weights_, gradients_;
  std::unique_ptr<Arena> average_;  // made when it is asked for
  decltype(optimizers()) kinds_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<DeviceUpdate> device_update_;  // on a device
  int64_t device_updates_ = 0;
  at::Tensor totals_, report_;
};

}  // namespace lockstep
