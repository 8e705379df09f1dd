#include "optim/sgd.h"

#include <cstring>

#include <ATen/ATen.h>
#include <ATen/ops/_fused_sgd.h>

#include "core/errors.h"

namespace lockstep {

namespace {

class Sgd final : public Optimizer {
 public:
  Sgd(const SgdOptions& options, const ShardLayout& shard)
      : Optimizer(shard, options.lr, options.weight_decay, options.groups,
                  choose_implementation(options.implementation, "sgd", shard.arena())),
        options_(options),
        momentum_(options.momentum != 0 ? &add_state("momentum") : nullptr) {}

  void step(Arena& weights, const Arena& gradients, const UpdateTerms& terms) override {
    const bool first = updates_ == 0;
    ++updates_;
    if (implementation() == Implementation::kForeach)
      return step_foreach(weights, gradients, terms, first);
    const bool fused = implementation() == Implementation::kFused;
    for_pieces(terms.parallel, [&](const Stretch& stretch, int64_t begin, int64_t end) {
      if (stretch.settings.frozen) return move_ema(weights, terms, begin, end);
      const SgdArrays arrays{weights.data() + begin, gradients.data() + begin,
                             momentum_ == nullptr ? nullptr : momentum_->at(begin)};
      const SgdFactors factors = factors_of(stretch, terms.lr, first);
      if (fused)
        return optimizer_kernels().sgd(arrays, end - begin, factors, terms.gradient,
                                       ema_factors(terms, begin));
      sgd_reference(arrays, end - begin, factors, terms.gradient);
      move_ema(weights, terms, begin, end);
    });
  }

  FusedKind fused_kind() const override { return FusedKind::kSgd; }
  void fused_factors(size_t stretch, double lr, int64_t update, void* out) const override {
    const SgdFactors factors = factors_of(stretches_[stretch], lr, update == 0);
    std::memcpy(out, &factors, sizeof factors);
  }

  void step_on_device(Arena& weights, const Arena& gradients, const DeviceTerms& terms) override {
    const at::NoGradGuard no_grad;
    const at::Tensor bad = terms.found_inf.ne(0), first = terms.updates.eq(0);
    for (const Stretch& stretch : stretches_) {
      if (stretch.settings.frozen) continue;
      const std::vector<at::Tensor> w = flat_parts(weights, stretch),
                                    g = flat_parts(gradients, stretch);
      const std::vector<at::Tensor> buffers =
          momentum_ == nullptr ? std::vector<at::Tensor>() : flat_parts(*momentum_, stretch);
      const at::Tensor lr = terms.lr * stretch.settings.lr_ratio;
      for (size_t i = 0; i < w.size(); ++i)
        step_part(w[i], g[i], buffers.empty() ? at::Tensor() : buffers[i],
                  stretch.settings.weight_decay, lr, first, bad);
    }
  }

 private:
  void step_part(at::Tensor w, at::Tensor d, at::Tensor buffer, double decay, const at::Tensor& lr,
                 const at::Tensor& first, const at::Tensor& bad) const {
    if (decay != 0) d = d.add(w, decay);
    if (buffer.defined()) {
      const at::Tensor moved =
          at::where(first, d, buffer * options_.momentum + d * (1 - options_.dampening));
      buffer.copy_(at::where(bad, buffer, moved));
      d = options_.nesterov ? d.add(moved, options_.momentum) : moved;
    }
    w.copy_(at::where(bad, w, w - d * lr));
  }

  SgdFactors factors_of(const Stretch& stretch, double lr, bool first) const {
    SgdFactors f;
    f.lr = static_cast<float>(lr * stretch.settings.lr_ratio);
    f.decay = static_cast<float>(stretch.settings.weight_decay);
    f.momentum = static_cast<float>(options_.momentum);
    f.dampening_rest = static_cast<float>(1 - options_.dampening);
    f.nesterov = options_.nesterov;
    f.first = first;
    return f;
  }

  void step_foreach(Arena& weights, const Arena& gradients, const UpdateTerms& terms, bool first) {
    at::NoGradGuard no_grad;
    const Arena& plain = plain_gradients(gradients, terms.gradient);
    for (const Stretch& stretch : stretches_) {
      if (stretch.settings.frozen) continue;
      const std::vector<at::Tensor> own = pieces(weights, stretch),
                                    own_gradients = pieces(plain, stretch);
      if (own.empty()) continue;
      const std::vector<at::Tensor> momenta =
          momentum_ == nullptr ? std::vector<at::Tensor>() : pieces(*momentum_, stretch);
      at::_fused_sgd_(own, own_gradients, momenta, stretch.settings.weight_decay, options_.momentum,
                      terms.lr * stretch.settings.lr_ratio, options_.dampening, options_.nesterov,
                      /*maximize=*/false, first);
    }
    move_own_ema(weights, terms);
  }

  const SgdOptions options_;
  ArenaShard* const momentum_;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const SgdOptions& options, const ShardLayout& shard) {
  if (options.nesterov && (options.momentum <= 0 || options.dampening != 0))
    throw ConfigError("optimizer.nesterov needs a momentum and no dampening",
                      "set optimizer.momentum above 0 and leave optimizer.dampening out");
  return std::make_unique<Sgd>(options, shard);
}

}  // namespace lockstep
