#include <cmath>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "optim/device_update.h"

namespace lockstep {
namespace {

constexpr double kLargestScale = 0x1p126;  // loss_scale.cc

at::Tensor scalar(double value, at::ScalarType dtype, at::Device device) {
  return at::full({}, value, at::TensorOptions().dtype(dtype).device(device));
}

class ForeachUpdate final : public DeviceUpdate {
 public:
  ForeachUpdate(const DeviceUpdateSetup& setup, const std::string& choice)
      : setup_(setup),
        updates_(scalar(static_cast<double>(setup.counts.updates), at::kFloat, setup.device)),
        skipped_(
            scalar(static_cast<double>(setup.counts.skipped_in_a_row), at::kFloat, setup.device)),
        scale_(at::full({1}, setup.counts.loss_scale.scale, updates_.options())),
        good_steps_(at::full({1}, static_cast<int32_t>(setup.counts.loss_scale.good_steps),
                             updates_.options().dtype(at::kInt))),
        choice_(fmt::format("{}; LibTorch's operations over one arena on {}", choice,
                            setup.device.str())) {
    if (setup.loss_scale && setup.counts.loss_scale.scale <= 0)
      throw InternalError("a loss scale that is not positive");
  }

  Rows rows(int64_t first, const std::function<PlannedUpdate(int64_t)>& planned) const override {
    at::Tensor lr = at::zeros({kRows}), ema = at::zeros({kRows});
    for (int64_t u = first; u < first + kRows; ++u) {
      const PlannedUpdate update = planned(u);
      lr.mutable_data_ptr<float>()[u % kRows] = static_cast<float>(update.lr);
      if (update.ema)
        ema.mutable_data_ptr<float>()[u % kRows] = update.ema->copy ? 1.0f : update.ema->weight;
    }
    return {{"ema", ema}, {"lr", lr}};
  }

  void run(const Rows& rows, const at::Tensor& totals, const at::Tensor& report) override {
    const at::NoGradGuard no_grad;
    at::Tensor gradients = setup_.gradients->flat();
    const at::Tensor count = totals.select(0, 1);
    const at::Tensor used_scale =
        setup_.loss_scale ? scale_.squeeze(0).clone() : at::ones_like(updates_);
    const at::Tensor multiplier =
        at::where(count.gt(0),
                  setup_.backward_constant / (count.clamp_min(1e-300) * used_scale.to(at::kDouble)),
                  0.0)
            .to(at::kFloat);
    const at::Tensor norm = gradient_norm_here() * multiplier.to(at::kDouble);
    const at::Tensor finite = norm.isfinite().logical_and(totals.select(0, 0).isfinite());
    const at::Tensor found_inf = finite.logical_not().to(at::kFloat);
    at::Tensor factor = multiplier;
    if (setup_.clip_norm > 0)
      factor = factor *
               (static_cast<float>(setup_.clip_norm) / (norm.to(at::kFloat) + 1e-6f)).clamp_max(1);
    gradients.mul_(factor);

    const at::Tensor row = updates_.remainder(static_cast<double>(kRows)).to(at::kLong).view({1});
    const at::Tensor lr = rows.at("lr").index_select(0, row).squeeze(0);
    setup_.optimizer->step_on_device(*setup_.weights, *setup_.gradients, {lr, updates_, found_inf});
    if (setup_.exchange)
      setup_.exchange->gather_weights(setup_.optimizer->shard(), *setup_.weights);
    if (setup_.ema != nullptr) {
      const at::Tensor weight = rows.at("ema").index_select(0, row).squeeze(0) * (1 - found_inf);
      setup_.ema->flat().lerp_(setup_.weights->flat(), weight);
    }
    if (setup_.low_weights.defined()) at::Tensor(setup_.low_weights).copy_(setup_.weights->flat());
    count_step(found_inf);
    write_report(report, norm, found_inf, used_scale);
  }

  at::Tensor loss_scale() const override {
    return setup_.loss_scale ? scale_.squeeze(0) : at::Tensor();
  }

  std::vector<at::Tensor> state() const override {
    std::vector<at::Tensor> out = setup_.optimizer->flat_states();
    for (const at::Tensor& tensor :
         {setup_.weights->flat(), updates_, skipped_, scale_, good_steps_})
      out.push_back(tensor);
    if (setup_.ema != nullptr) out.push_back(setup_.ema->flat());
    if (setup_.low_weights.defined()) out.push_back(setup_.low_weights);
    return out;
  }

  const std::string& choice() const override { return choice_; }

 private:
  // Before scaling, f64 scalar. Of a share: the squares of the own blocks, added up over ranks.
  at::Tensor gradient_norm_here() const {
    const at::Tensor flat = setup_.gradients->flat();
    const auto norm = [](const at::Tensor& values) {
      return at::linalg_vector_norm(values, 2, std::nullopt, false, at::kDouble);
    };
    const ShardLayout& shard = setup_.optimizer->shard();
    if (shard.whole()) return norm(flat);
    const int64_t each = ArenaLayout::kBlockElements, whole = flat.numel() / each;
    at::Tensor sum = norm(flat.narrow(0, 0, whole * each)
                              .view({whole, each})
                              .slice(0, shard.rank(), whole, shard.ranks()))
                         .square();
    if (whole * each < flat.numel() && shard.owner(whole) == shard.rank())
      sum = sum + norm(flat.narrow(0, whole * each, flat.numel() - whole * each)).square();
    if (setup_.exchange) setup_.exchange->add_up(sum);
    return sum.sqrt();
  }

  void count_step(const at::Tensor& found_inf) {
    updates_.add_(1 - found_inf);
    skipped_.add_(1).mul_(found_inf);
    if (!setup_.loss_scale) return;
    at::_amp_update_scale_(scale_, good_steps_, found_inf.view({1}), 2.0, 0.5,
                           setup_.loss_scale->growth_steps);
    scale_.clamp_(setup_.loss_scale->smallest, kLargestScale);
  }

  void write_report(const at::Tensor& report, const at::Tensor& norm, const at::Tensor& found_inf,
                    const at::Tensor& used_scale) {
    const auto put = [&](Report at, const at::Tensor& value) { report.select(0, at).copy_(value); };
    put(kNorm, norm);
    put(kUpdated, 1 - found_inf);
    put(kScale, used_scale);
    put(kNextScale, scale_.squeeze(0));
    put(kGoodSteps, good_steps_.squeeze(0));
    put(kUpdates, updates_);
    put(kSkippedInARow, skipped_);
  }

  DeviceUpdateSetup setup_;
  at::Tensor updates_, skipped_;   // f32 scalars
  at::Tensor scale_, good_steps_;  // f32 [1], i32 [1], as LibTorch's operation wants them
  const std::string choice_;
};

}  // namespace

std::unique_ptr<DeviceUpdate> make_foreach_update(const DeviceUpdateSetup& setup,
                                                  const std::string& choice) {
  return std::make_unique<ForeachUpdate>(setup, choice);
}

}  // namespace lockstep
