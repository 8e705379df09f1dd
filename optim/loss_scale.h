// The dynamic loss scale of float16 training.
//
// float16 gradients below 6e-8 vanish, so backward starts from a loss that is multiplied by a
// scale, and the update divides by it. The scale doubles after `growth_steps` updates in a row and
// halves after a step whose gradients overflowed, which makes no update. The rule is LibTorch's
// `_amp_update_scale_` (Micikevicius et al., "Mixed Precision Training", ICLR 2018, 3.2); the scale
// stays a power of two, so scaling rounds nothing away.
#pragma once

#include <cstdint>

#include "core/config/fields.h"

namespace lockstep {

struct LossScaleOptions {
  double initial = 65536;
  int64_t growth_steps = 2000;
  double smallest = 1;      // the floor
  int64_t most_skips = 10;  // steps in a row without an update, at the floor, that end the run
  void fields(FieldVisitor& visit);
};

// One per rank; all ranks call update() with the same words, so that their scales agree.
class LossScale {
 public:
  struct State {
    double scale = 1;
    int64_t good_steps = 0;  // updates in a row since the scale last changed
    bool operator==(const State&) const = default;
  };

  // Initial and floor are rounded to powers of two.
  explicit LossScale(const LossScaleOptions& options);

  double value() const { return state_.scale; }
  bool at_floor() const { return state_.scale <= smallest_; }
  // After a step: `finite` says whether its gradients were.
  void update(bool finite);

  const State& state() const { return state_; }
  // Throws CheckpointError if the scale is no positive power of two.
  void load(const State& state);

 private:
  int64_t growth_steps_;
  double smallest_;
  State state_;
};

}  // namespace lockstep
