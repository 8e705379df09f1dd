#include <cstddef>
#include <cstring>
#include <type_traits>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "optim/cuda_parts.h"
#include "optim/device_update.h"
#include "optim/kernels/update_kernels.h"

namespace lockstep {
namespace {

// What travels and lies as bytes is copied as such.
static_assert(std::is_trivially_copyable_v<UpdateRow> &&
              std::is_trivially_copyable_v<UpdateControl>);
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
  if (!values.empty())
    std::memcpy(out.mutable_data_ptr(), values.data(), values.size() * sizeof(T));
  return out;
}

// Appends [begin, end) in pieces of at most kPieceElements; the state of `begin` lies at `state`.
void append_pieces(int64_t begin, int64_t end, int64_t state, int32_t group,
                   std::vector<UpdatePiece>& pieces) {
  for (; begin < end; begin += kPieceElements, state += kPieceElements)
    pieces.push_back(
        {begin, state, static_cast<int32_t>(std::min(kPieceElements, end - begin)), group});
}

// The own parts of the stretches; a piece's group is its stretch's number.
std::vector<UpdatePiece> pieces_of(const std::vector<Stretch>& stretches,
                                   const ShardLayout& shard) {
  std::vector<UpdatePiece> pieces;
  for (size_t s = 0; s < stretches.size(); ++s) {
    const int32_t group = stretches[s].settings.frozen ? kFrozenGroup : static_cast<int32_t>(s);
    shard.for_owned(shard.rank(), stretches[s].begin, stretches[s].end,
                    [&](int64_t begin, int64_t end) {
                      append_pieces(begin, end, shard.place(begin), group, pieces);
                    });
  }
  return pieces;
}

// The whole arena, for an EMA alone.
std::vector<UpdatePiece> average_pieces(const ArenaLayout& layout) {
  std::vector<UpdatePiece> pieces;
  append_pieces(0, layout.size, 0, kFrozenGroup, pieces);
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
        choice_(fmt::format("{}; norm, clip, update and EMA in three launches on {}{}", choice,
                            setup.device.str(), sharded() ? ", of the own blocks alone" : "")),
        pieces_(pieces_of(setup.optimizer->stretches(), setup.optimizer->shard()), setup.device) {
    if (sharded() && setup.ema != nullptr)
      average_pieces_.emplace(average_pieces(setup.weights->layout()), setup.device);
    UpdateControl control;
    control.updates = setup.counts.updates;
    control.skipped_in_a_row = static_cast<int32_t>(setup.counts.skipped_in_a_row);
    control.loss_scale = static_cast<float>(setup.counts.loss_scale.scale);
    control.good_steps = static_cast<int32_t>(setup.counts.loss_scale.good_steps);
    control_ = as_bytes(std::vector<UpdateControl>{control}).to(setup.device);
    sums_ = at::zeros({setup.weights->layout().num_blocks()},
                      at::TensorOptions().dtype(at::kDouble).device(setup.device));
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
      rows[static_cast<size_t>(u % kRows)] = {u,
                                              !update.ema        ? 0
                                              : update.ema->copy ? 2
                                                                 : 1,
                                              update.ema ? update.ema->weight : 0};
      for (int64_t group = 0; group < groups_; ++group)
        setup_.optimizer->fused_factors(
            static_cast<size_t>(group), update.lr, u,
            factors.mutable_data_ptr<uint8_t>() +
                (u % kRows * groups_ + group) * static_cast<int64_t>(factor_bytes_));
    }
    return {{"factors", factors}, {"rows", as_bytes(rows)}};
  }

  void run(const Rows& rows, const at::Tensor& totals, const at::Tensor& report) override {
    const at::NoGradGuard no_grad;
    if (gpu_) {
      const optim::CudaParts& parts = optim::cuda_parts();
      launch(parts, parts.current_stream(), rows, totals, report);
    } else {
      static constexpr Twins kTwins;
      launch(kTwins, nullptr, rows, totals, report);
    }
  }

  at::Tensor loss_scale() const override {
    if (!rule_.scales_loss) return {};
    return control_.narrow(0, offsetof(UpdateControl, loss_scale), sizeof(float))
        .view(at::kFloat)
        .squeeze(0);
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

  // Pieces of a launch, in the device's memory.
  struct Pieces {
    int64_t count;
    at::Tensor values;
    Pieces(const std::vector<UpdatePiece>& pieces, at::Device device)
        : count(static_cast<int64_t>(pieces.size())), values(as_bytes(pieces).to(device)) {}
  };

  bool sharded() const { return !setup_.optimizer->shard().whole(); }

  // Of a share: no EMA and no low-precision copy, which need the others' weights first.
  UpdateArrays arrays() const {
    const Arena& gradients = *setup_.gradients;
    const std::vector<at::Tensor> states = setup_.optimizer->flat_states();
    UpdateArrays arrays;
    arrays.weights = setup_.weights->data();
    arrays.gradients = {gradients.data(), gradients.layout().size, FloatType::kFloat32};
    if (!states.empty()) arrays.state0 = states[0].data_ptr<float>();
    if (states.size() > 1) arrays.state1 = states[1].data_ptr<float>();
    if (sharded()) return arrays;
    if (setup_.ema != nullptr) arrays.ema = setup_.ema->data();
    if (setup_.low_weights.defined()) {
      arrays.low = setup_.low_weights.data_ptr();
      arrays.low_type = setup_.low_weights.scalar_type() == at::kHalf ? FloatType::kFloat16
                                                                      : FloatType::kBfloat16;
    }
    return arrays;
  }

  template <class Kernels>
  void launch(const Kernels& kernels, void* stream, const Rows& rows, const at::Tensor& totals,
              const at::Tensor& report) const {
    const UpdateArrays arrays = this->arrays();
    const ShardLayout& shard = setup_.optimizer->shard();
    const UpdateRow* row = at_bytes<UpdateRow>(rows.at("rows"));
    const auto* sums_of_step = reinterpret_cast<const UpdateTotals*>(totals.data_ptr<double>());
    UpdateControl* control = at_bytes<UpdateControl>(control_);
    double* sums = sums_.data_ptr<double>();
    if (sharded()) at::Tensor(sums_).zero_();  // others' blocks
    kernels.sum_blocks(arrays.gradients, shard.ranks(), shard.rank(), rule_, sums_of_step, control,
                       sums, stream);
    if (setup_.exchange) setup_.exchange->add_up(sums_);
    kernels.finish_norm(sums, sums_.numel(), rule_, sums_of_step, row, control,
                        reinterpret_cast<UpdateReport*>(report.data_ptr<double>()), stream);
    const uint8_t* factors = rows.at("factors").data_ptr<uint8_t>();
    update(kernels, stream, arrays, pieces_, row, factors, control);
    if (!sharded()) return;
    if (setup_.exchange) setup_.exchange->gather_weights(shard, *setup_.weights);
    if (average_pieces_) {
      UpdateArrays average = arrays;
      average.ema = setup_.ema->data();
      update(kernels, stream, average, *average_pieces_, row, factors, control);
    }
    if (setup_.low_weights.defined()) at::Tensor(setup_.low_weights).copy_(setup_.weights->flat());
  }

  template <class Kernels>
  void update(const Kernels& kernels, void* stream, const UpdateArrays& arrays,
              const Pieces& pieces, const UpdateRow* rows, const uint8_t* factors,
              const UpdateControl* control) const {
    const UpdatePlan plan{at_bytes<UpdatePiece>(pieces.values), pieces.count, rows,
                          static_cast<int32_t>(groups_)};
    if (adam_)
      kernels.adam_update(arrays, plan, reinterpret_cast<const AdamFactors*>(factors), control,
                          stream);
    else
      kernels.sgd_update(arrays, plan, reinterpret_cast<const SgdFactors*>(factors), control,
                         stream);
  }

  DeviceUpdateSetup setup_;
  const bool gpu_, adam_;
  const size_t factor_bytes_;
  const int64_t groups_;
  const std::string choice_;
  const Pieces pieces_;                   // what this rank updates
  std::optional<Pieces> average_pieces_;  // of a share: what its EMA moves
  UpdateRule rule_;
  at::Tensor control_, sums_;
};

}  // namespace

void ShareExchange::add_up(const at::Tensor& values) const {
  between([&](DeviceQueue& queue) { comm->all_reduce(values, queue, "squares of gradients"); });
}

void ShareExchange::gather_weights(const ShardLayout& shard, Arena& weights) const {
  between([&](DeviceQueue& queue) {
    comm->gather_from_owners(owned_ranges(shard, weights.flat(), 0, weights.layout().size), queue,
                             "updated weights");
  });
}

const char* fused_kind_name(FusedKind kind) {
  return kind == FusedKind::kAdam ? "adam" : kind == FusedKind::kSgd ? "sgd" : "of this kind";
}

std::unique_ptr<DeviceUpdate> make_device_update(const DeviceUpdateSetup& setup) {
  const FusedKind kind = setup.optimizer->fused_kind();
  const ImplementationChoice choice =
      setup.choice ? *setup.choice
                   : choose_on_device(setup.optimizer->requested(), fused_kind_name(kind),
                                      kind != FusedKind::kNone);
  if (choice.implementation == Implementation::kFused)
    return std::make_unique<FusedUpdate>(setup, choice.text);
  return make_foreach_update(setup, choice.text);
}

}  // namespace lockstep
