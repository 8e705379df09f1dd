// The CPU twins of gradient_norm.cu and update.cu, on the loops of kernels.h.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddp/slots.h"
#include "optim/clip.h"
#include "optim/kernels/update_kernels.h"
#include "optim/loss_scale.h"
#include "tensor/float_types.h"

namespace lockstep::cpu {
namespace {

// Gradients [begin, begin + count) as float32: the arena's own, or converted into `buffer`.
const float* floats_of(const GradientView& g, int64_t begin, int64_t count,
                       std::vector<float>& buffer) {
  if (g.type == FloatType::kFloat32) return static_cast<const float*>(g.values) + begin;
  buffer.resize(static_cast<size_t>(count));
  with_float_type(g.type, [&]<class T>() {
    for (int64_t i = 0; i < count; ++i)
      buffer[i] = static_cast<float>(static_cast<const T*>(g.values)[begin + i]);
  });
  return buffer.data();
}

void store_low(const UpdateArrays& a, int64_t begin, int64_t count) {
  if (a.low == nullptr) return;
  with_float_type(a.low_type, [&]<class T>() {
    for (int64_t i = begin; i < begin + count; ++i)
      static_cast<T*>(a.low)[i] = static_cast<T>(a.weights[i]);
  });
}

// Calls run(piece, gradients, gradient factors, EMA factors) for the pieces that are not frozen.
template <class Run>
void for_pieces(const UpdateArrays& a, const UpdatePlan& plan, const UpdateControl& control,
                const Run& run) {
  if (control.outcome != StepOutcome::kUpdated) return;
  const UpdateRow& row = plan.rows[control.row];
  const bool moves = a.ema != nullptr && row.ema != 0;
  std::vector<float> buffer;
  for (int64_t i = 0; i < plan.num_pieces; ++i) {
    const UpdatePiece& piece = plan.pieces[i];
    const EmaFactors ema{moves ? a.ema + piece.begin : nullptr, row.ema == 2, row.ema_weight};
    if (piece.group == kFrozenGroup) {
      if (moves) optimizer_kernels().ema(a.weights + piece.begin, piece.count, ema);
      continue;
    }
    run(piece, floats_of(a.gradients, piece.begin, piece.count, buffer),
        GradientFactors{control.multiplier, control.clip}, ema);
    store_low(a, piece.begin, piece.count);
  }
}

void update_loss_scale(const UpdateRule& rule, bool finite, UpdateControl& control) {
  if (!rule.scales_loss) return;
  LossScaleOptions options;
  options.growth_steps = rule.growth_steps;
  options.smallest = rule.smallest_scale;
  LossScale scale(options);
  scale.load({control.loss_scale, control.good_steps});
  scale.update(finite);
  control.loss_scale = static_cast<float>(scale.value());
  control.good_steps = static_cast<int32_t>(scale.state().good_steps);
}

}  // namespace

void sum_blocks(const GradientView& gradients, int ranks, int rank, const UpdateRule& rule,
                const UpdateTotals* totals, UpdateControl* control, double* sums, void*) {
  const double scale = rule.scales_loss ? static_cast<double>(control->loss_scale) : 1.0;
  control->multiplier = totals->count > 0
                            ? static_cast<float>(rule.backward_constant / (totals->count * scale))
                            : 0.0f;
  std::vector<float> buffer;
  const int64_t each = ArenaLayout::kBlockElements, blocks = (gradients.size + each - 1) / each;
  for (int64_t block = rank; block < blocks; block += ranks) {
    const int64_t count = std::min(each, gradients.size - block * each);
    sums[block] = optimizer_kernels().sum_of_squares(
        floats_of(gradients, block * each, count, buffer), count, control->multiplier);
  }
}

void finish_norm(double* sums, int64_t num_blocks, const UpdateRule& rule,
                 const UpdateTotals* totals, const UpdateRow* rows, UpdateControl* control,
                 UpdateReport* report, void*) {
  const double norm =
      std::sqrt(tree_sum<double>(0, num_blocks, [&](int64_t block) { return sums[block]; }));
  const bool finite = std::isfinite(norm) && std::isfinite(totals->loss);
  control->norm = norm;
  control->clip =
      rule.clip_norm > 0 && std::isfinite(norm) ? clip_coefficient(norm, rule.clip_norm) : 1.0f;
  control->row = control->updates % rule.rows;
  const float scale = control->loss_scale;
  if (rows[control->row].update != control->updates) {
    control->outcome = StepOutcome::kNoRow;
  } else {
    control->outcome = finite ? StepOutcome::kUpdated : StepOutcome::kSkipped;
    control->skipped_in_a_row = finite ? 0 : control->skipped_in_a_row + 1;
    update_loss_scale(rule, finite, *control);
    if (finite) control->updates += 1;
  }
  if (report == nullptr) return;
  *report = {norm,
             control->outcome == StepOutcome::kUpdated ? 1.0 : 0.0,
             scale,
             control->loss_scale,
             static_cast<double>(control->good_steps),
             static_cast<double>(control->updates),
             static_cast<double>(control->skipped_in_a_row)};
}

void adam_update(const UpdateArrays& a, const UpdatePlan& plan, const AdamFactors* factors,
                 const UpdateControl* control, void*) {
  for_pieces(a, plan, *control,
             [&](const UpdatePiece& piece, const float* gradients, GradientFactors g,
                 const EmaFactors& ema) {
               const AdamArrays arrays{a.weights + piece.begin, gradients,
                                       a.state0 + piece.state_begin, a.state1 + piece.state_begin};
               optimizer_kernels().adam(arrays, piece.count,
                                        factors[control->row * plan.groups + piece.group], g, ema);
             });
}

void sgd_update(const UpdateArrays& a, const UpdatePlan& plan, const SgdFactors* factors,
                const UpdateControl* control, void*) {
  for_pieces(a, plan, *control,
             [&](const UpdatePiece& piece, const float* gradients, GradientFactors g,
                 const EmaFactors& ema) {
               const SgdArrays arrays{a.weights + piece.begin, gradients,
                                      a.state0 == nullptr ? nullptr : a.state0 + piece.state_begin};
               optimizer_kernels().sgd(arrays, piece.count,
                                       factors[control->row * plan.groups + piece.group], g, ema);
             });
}

void move_average(float* ema, const float* weights, int64_t size, bool copy, float weight, void*) {
  optimizer_kernels().ema(weights, size, {ema, copy, weight});
}

}  // namespace lockstep::cpu
