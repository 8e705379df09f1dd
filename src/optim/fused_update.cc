#include <cstddef>
#include <cstring>
#include <type_traits>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "optim/cuda_parts.h"
#include "optim/device_update.h"
#include "optim/update_kernels.h"

namespace lockstep {
namespace {

// What travels and lies as bytes is copied as such.
static_assert(std::is_trivially_copyable_v<UpdateRow> && std::is_trivially_copyable_v<UpdateControl>);
static_assert(sizeof(UpdateReport) == DeviceUpdate::kReportSize * sizeof(double));
static_assert(offsetof(UpdateControl, loss_scale) % alignof(float) == 0);

at::Tensor bytes(int64_t count) { return at::zeros({count}, at::kByte); }

template <class T>
T* at_bytes(const at::Tensor& tensor) {
  return reinterpret_cast<T*>(tensor.data_ptr<uint8_t>());
}

template <class T>
at::Tensor as_bytes(const std::vector<T>& values) {
  at::Tensor out = bytes(static_cast<int64_t>(values.size() * sizeof(T)));
  if (!values.empty()) std::memcpy(out.mutable_data_ptr(), values.data(), values.size() * sizeof(T));
  return out;
}

// The stretches cut into pieces of at most kPieceElements; a piece's group is its stretch's number.
std::vector<UpdatePiece> pieces_of(const std::vector<Stretch>& stretches) {
  std::vector<UpdatePiece> pieces;
  for (size_t s = 0; s < stretches.size(); ++s)
    for (int64_t begin = stretches[s].begin; begin < stretches[s].end; begin += kPieceElements) {
      const int64_t count = std::min(kPieceElements, stretches[s].end - begin);
      const int32_t group = stretches[s].settings.frozen ? kFrozenGroup : static_cast<int32_t>(s);
      pieces.push_back({begin, begin, static_cast<int32_t>(count), group});
    }
  return pieces;
}

class FusedUpdate final : public DeviceUpdate {
 public:
  FusedUpdate(const DeviceUpdateSetup& setup, const std::string& choice)
      : setup_(setup),
        gpu_(setup.device.is_cuda()),
        adam_(setup.optimizer->fused_kind() == FusedKind::kAdam),
        factor_bytes_(adam_ ? sizeof(AdamFactors) : sizeof(SgdFactors)),
        groups_(static_cast<int64_t>(setup.optimizer->stretches().size())),
        choice_(fmt::format("{}; norm, clip, update and EMA in three launches on {}", choice, setup.device.str())) {
    const std::vector<UpdatePiece> pieces = pieces_of(setup.optimizer->stretches());
    num_pieces_ = static_cast<int64_t>(pieces.size());
    pieces_ = as_bytes(pieces).to(setup.device);
    UpdateControl control;
    control.updates = setup.counts.updates;
    control.skipped_in_a_row = static_cast<int32_t>(setup.counts.skipped_in_a_row);
    control.loss_scale = static_cast<float>(setup.counts.loss_scale.scale);
    control.good_steps = static_cast<int32_t>(setup.counts.loss_scale.good_steps);
    control_ = as_bytes(std::vector<UpdateControl>{control}).to(setup.device);
    sums_ = at::zeros({setup.weights->layout().num_blocks()}, at::TensorOptions().dtype(at::kDouble).device(setup.device));
    rule_.backward_constant = setup.backward_constant;
    rule_.clip_norm = static_cast<float>(setup.clip_norm);
    rule_.rows = kRows;
    if (!setup.loss_scale) return;
    rule_.scales_loss = true;
    rule_.growth_steps = setup.loss_scale->growth_steps;
    LossScaleOptions floor = *setup.loss_scale;  // rounded to a power of two, as the host's
    floor.initial = floor.smallest;
    rule_.smallest_scale = static_cast<float>(LossScale(floor).value());
  }

  Rows rows(int64_t first, const std::function<PlannedUpdate(int64_t)>& planned) const override {
    std::vector<UpdateRow> rows(kRows);
    at::Tensor factors = bytes(kRows * groups_ * static_cast<int64_t>(factor_bytes_));
    for (int64_t u = first; u < first + kRows; ++u) {
      const PlannedUpdate update = planned(u);
      rows[static_cast<size_t>(u % kRows)] = {u, !update.ema ? 0 : update.ema->copy ? 2 : 1, update.ema ? update.ema->weight : 0};
      for (int64_t group = 0; group < groups_; ++group)
        setup_.optimizer->fused_factors(static_cast<size_t>(group), update.lr, u,
                                        factors.mutable_data_ptr<uint8_t>() + (u % kRows * groups_ + group) * static_cast<int64_t>(factor_bytes_));
    }
    return {{"factors", factors}, {"rows", as_bytes(rows)}};
  }

  void run(const Rows& rows, const at::Tensor& totals, const at::Tensor& report) override {
    const Arena& gradients = *setup_.gradients;
    const std::vector<at::Tensor> states = setup_.optimizer->flat_states();
    UpdateArrays arrays;
    arrays.weights = setup_.weights->data();
    arrays.gradients = {gradients.data(), gradients.layout().size, FloatType::kFloat32};
    if (!states.empty()) arrays.state0 = states[0].data_ptr<float>();
    if (states.size() > 1) arrays.state1 = states[1].data_ptr<float>();
    if (setup_.ema != nullptr) arrays.ema = setup_.ema->data();
    if (setup_.low_weights.defined()) {
      arrays.low = setup_.low_weights.data_ptr();
      arrays.low_type = setup_.low_weights.scalar_type() == at::kHalf ? FloatType::kFloat16 : FloatType::kBfloat16;
    }
    const UpdatePlan plan{at_bytes<UpdatePiece>(pieces_), num_pieces_, at_bytes<UpdateRow>(rows.at("rows")), static_cast<int32_t>(groups_)};
    const auto* sums_of_step = reinterpret_cast<const UpdateTotals*>(totals.data_ptr<double>());
    auto* told = reinterpret_cast<UpdateReport*>(report.data_ptr<double>());
    UpdateControl* control = at_bytes<UpdateControl>(control_);
    double* sums = sums_.data_ptr<double>();
    const uint8_t* factors = rows.at("factors").data_ptr<uint8_t>();
    if (gpu_) {
      const optim::CudaParts& parts = optim::cuda_parts();
      launch(parts, parts.current_stream(), arrays, plan, sums_of_step, told, control, sums, factors);
    } else {
      static constexpr Twins kTwins;
      launch(kTwins, nullptr, arrays, plan, sums_of_step, told, control, sums, factors);
    }
  }

  at::Tensor loss_scale() const override {
    if (!rule_.scales_loss) return {};
    return control_.narrow(0, offsetof(UpdateControl, loss_scale), sizeof(float)).view(at::kFloat).squeeze(0);
  }

  std::vector<at::Tensor> state() const override {
    std::vector<at::Tensor> out = setup_.optimizer->flat_states();
    out.push_back(setup_.weights->flat());
    out.push_back(control_);
    if (setup_.ema != nullptr) out.push_back(setup_.ema->flat());
    if (setup_.low_weights.defined()) out.push_back(setup_.low_weights);
    return out;
  }

  const std::string& choice() const override { return choice_; }

 private:
  // The CPU's kernels under the names of the plug-in's.
  struct Twins {
    decltype(&cpu::sum_blocks) sum_blocks = &cpu::sum_blocks;
    decltype(&cpu::finish_norm) finish_norm = &cpu::finish_norm;
    decltype(&cpu::adam_update) adam_update = &cpu::adam_update;
    decltype(&cpu::sgd_update) sgd_update = &cpu::sgd_update;
  };

  template <class Kernels>
  void launch(const Kernels& kernels, void* stream, const UpdateArrays& arrays, const UpdatePlan& plan, const UpdateTotals* totals,
              UpdateReport* report, UpdateControl* control, double* sums, const uint8_t* factors) const {
    kernels.sum_blocks(arrays.gradients, 1, 0, rule_, totals, control, sums, stream);
    kernels.finish_norm(sums, sums_.numel(), rule_, totals, plan.rows, control, report, stream);
    if (adam_) kernels.adam_update(arrays, plan, reinterpret_cast<const AdamFactors*>(factors), control, stream);
    else kernels.sgd_update(arrays, plan, reinterpret_cast<const SgdFactors*>(factors), control, stream);
  }

  DeviceUpdateSetup setup_;
  const bool gpu_, adam_;
  const size_t factor_bytes_;
  const int64_t groups_;
  int64_t num_pieces_ = 0;
  UpdateRule rule_;
  at::Tensor pieces_, control_, sums_;
  const std::string choice_;
};

}  // namespace

std::unique_ptr<DeviceUpdate> make_device_update(const DeviceUpdateSetup& setup) {
  const FusedKind kind = setup.optimizer->fused_kind();
  const ImplementationChoice choice = choose_on_device(
      setup.optimizer->requested(), kind == FusedKind::kAdam ? "adam" : kind == FusedKind::kSgd ? "sgd" : "of this kind",
      kind != FusedKind::kNone);
  if (choice.implementation == Implementation::kFused) return std::make_unique<FusedUpdate>(setup, choice.text);
  return make_foreach_update(setup);
}

}  // namespace lockstep
