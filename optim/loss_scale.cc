#include "optim/loss_scale.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

// Beyond this a float32 loss would overflow when it is scaled.
constexpr double kLargestLossScale = 0x1p126;

double power_of_two(double value) { return std::exp2(std::round(std::log2(value))); }

}  // namespace

void LossScaleOptions::fields(FieldVisitor& visit) {
  visit("initial", initial, Range{0x1p-24, 0x1p31}, "first scale");
  visit("growth_steps", growth_steps, at_least(1),
        "updates in a row after which the scale doubles");
  visit("smallest", smallest, Range{0x1p-24, 0x1p31}, "the scale never falls below this");
  visit("most_skips", most_skips, at_least(1),
        "steps in a row without an update, at the smallest scale, that end the run");
}

LossScale::LossScale(const LossScaleOptions& options)
    : growth_steps_(options.growth_steps), smallest_(power_of_two(options.smallest)) {
  state_.scale = std::max(power_of_two(options.initial), smallest_);
}

void LossScale::update(bool finite) {
  if (!finite) {
    state_ = {std::max(state_.scale / 2, smallest_), 0};
  } else if (state_.good_steps + 1 < growth_steps_) {
    state_.good_steps += 1;
  } else {
    state_ = {std::min(state_.scale * 2, kLargestLossScale), 0};
  }
}

void LossScale::load(const State& state) {
  if (!(state.scale > 0) || !std::isfinite(state.scale) ||
      power_of_two(state.scale) != state.scale || state.good_steps < 0)
    throw CheckpointError(
        fmt::format("the loss scale {} is no positive power of two", state.scale));
  state_ = state;
}

}  // namespace lockstep
