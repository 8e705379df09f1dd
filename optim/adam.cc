#include "optim/adam.h"

#include <ATen/ATen.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>

#include <cmath>
#include <cstring>

namespace lockstep {

AdamFactors adam_factors(const AdamOptions& options, bool decoupled, double lr, double weight_decay,
                         int64_t t) {
  const double correction1 = 1 - std::pow(options.beta1, static_cast<double>(t));
  const double correction2 = 1 - std::pow(options.beta2, static_cast<double>(t));
  AdamFactors f;
  f.beta1_rest = static_cast<float>(1 - options.beta1);
  f.beta2 = static_cast<float>(options.beta2);
  f.beta2_rest = static_cast<float>(1 - options.beta2);
  f.decay = decoupled ? 0.0f : static_cast<float>(weight_decay);
  f.shrink = decoupled ? static_cast<float>(1 - lr * weight_decay) : 1.0f;
  f.step_size = static_cast<float>(lr / correction1);
  f.bias2_root = static_cast<float>(std::sqrt(correction2));
  f.eps = static_cast<float>(options.eps);
  return f;
}

namespace {

struct TensorLists {
  at::TensorList weights, gradients, exp_avg, exp_avg_sq, steps;
};

void call_fused_adamw(const TensorLists& t, double lr, double weight_decay, const AdamOptions& o) {
  at::_fused_adamw_(t.weights, t.gradients, t.exp_avg, t.exp_avg_sq, {}, t.steps, lr, o.beta1,
                    o.beta2, weight_decay, o.eps, /*amsgrad=*/false, /*maximize=*/false);
}

void call_fused_adam(const TensorLists& t, double lr, double weight_decay, const AdamOptions& o) {
  at::_fused_adam_(t.weights, t.gradients, t.exp_avg, t.exp_avg_sq, {}, t.steps, lr, o.beta1,
                   o.beta2, weight_decay, o.eps, /*amsgrad=*/false, /*maximize=*/false);
}

class Adam final : public Optimizer {
 public:
  Adam(const AdamOptions& options, bool decoupled, const ShardLayout& shard)
      : Optimizer(shard, options.lr, options.weight_decay, options.groups,
                  choose_implementation(options.implementation, decoupled ? "adamw" : "adam",
                                        shard.arena())),
        options_(options),
        decoupled_(decoupled),
        exp_avg_(add_state("exp_avg")),
        exp_avg_sq_(add_state("exp_avg_sq")) {}

  void step(Arena& weights, const Arena& gradients, const UpdateTerms& terms) override {
    ++updates_;
    if (implementation() == Implementation::kForeach)
      return step_foreach(weights, gradients, terms);
    const bool fused = implementation() == Implementation::kFused;
    for_pieces(terms.parallel, [&](const Stretch& stretch, int64_t begin, int64_t end) {
      if (stretch.settings.frozen) return move_ema(weights, terms, begin, end);
      const AdamArrays arrays{weights.data() + begin, gradients.data() + begin, exp_avg_.at(begin),
                              exp_avg_sq_.at(begin)};
      const AdamFactors factors = factors_of(stretch, terms);
      if (fused)
        return optimizer_kernels().adam(arrays, end - begin, factors, terms.gradient,
                                        ema_factors(terms, begin));
      adam_reference(arrays, end - begin, factors, terms.gradient);
      move_ema(weights, terms, begin, end);
    });
  }

  FusedKind fused_kind() const override { return FusedKind::kAdam; }
  void fused_factors(size_t stretch, double lr, int64_t update, void* out) const override {
    const ParameterSettings& settings = stretches_[stretch].settings;
    const AdamFactors factors = adam_factors(options_, decoupled_, lr * settings.lr_ratio,
                                             settings.weight_decay, update + 1);
    std::memcpy(out, &factors, sizeof factors);
  }

  void step_on_device(Arena& weights, const Arena& gradients, const DeviceTerms& terms) override {
    const at::NoGradGuard no_grad;
    const at::Tensor count = terms.updates + 1;
    for (const Stretch& stretch : stretches_) {
      if (stretch.settings.frozen) continue;
      const std::vector<at::Tensor> w = flat_parts(weights, stretch),
                                    g = flat_parts(gradients, stretch),
                                    m = flat_parts(exp_avg_, stretch),
                                    v = flat_parts(exp_avg_sq_, stretch);
      if (w.empty()) continue;
      const std::vector<at::Tensor> steps(w.size(), count);
      const at::Tensor lr =
          stretch.settings.lr_ratio == 1 ? terms.lr : terms.lr * stretch.settings.lr_ratio;
      const double decay = stretch.settings.weight_decay, b1 = options_.beta1, b2 = options_.beta2,
                   eps = options_.eps;
      if (decoupled_)
        at::_fused_adamw_(w, g, m, v, {}, steps, lr, b1, b2, decay, eps, false, false, std::nullopt,
                          terms.found_inf);
      else
        at::_fused_adam_(w, g, m, v, {}, steps, lr, b1, b2, decay, eps, false, false, std::nullopt,
                         terms.found_inf);
    }
  }

 private:
  AdamFactors factors_of(const Stretch& stretch, const UpdateTerms& terms) const {
    return adam_factors(options_, decoupled_, terms.lr * stretch.settings.lr_ratio,
                        stretch.settings.weight_decay, updates_);
  }

  void step_foreach(Arena& weights, const Arena& gradients, const UpdateTerms& terms) {
    at::NoGradGuard no_grad;
    const Arena& plain = plain_gradients(gradients, terms.gradient);
    for (const Stretch& stretch : stretches_) {
      if (stretch.settings.frozen) continue;
      const std::vector<at::Tensor> own = pieces(weights, stretch),
                                    own_gradients = pieces(plain, stretch),
                                    means = pieces(exp_avg_, stretch),
                                    squares = pieces(exp_avg_sq_, stretch);
      const std::vector<at::Tensor> steps(own.size(),
                                          at::scalar_tensor(static_cast<double>(updates_)));
      if (own.empty()) continue;
      const double lr = terms.lr * stretch.settings.lr_ratio;
      const auto update = decoupled_ ? &call_fused_adamw : &call_fused_adam;
      update({own, own_gradients, means, squares, steps}, lr, stretch.settings.weight_decay,
             options_);
    }
    move_own_ema(weights, terms);
  }

  const AdamOptions options_;
  const bool decoupled_;
  ArenaShard& exp_avg_;
  ArenaShard& exp_avg_sq_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adam(const AdamOptions& options, bool decoupled,
                                     const ShardLayout& shard) {
  return std::make_unique<Adam>(options, decoupled, shard);
}

}  // namespace lockstep
