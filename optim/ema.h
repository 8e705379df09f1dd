// The moving average of the weights (design.md 3, rule 10).
//
// k counts updates before this one; the average acts when k mod every_steps = 0:
//     ema += (1 − d)·(w − ema),  1 − d rounded to float32.
// With `warmup` as ema-pytorch does by default: a copy while k ≤ 100, then
// d = min(decay, 1 − (1 + k − 100)^(−2/3)). Without: d = decay.
#pragma once

#include <cstdint>
#include <optional>

#include "core/config/fields.h"
#include "ddp/arena.h"

namespace lockstep {

struct EmaOptions {
  double decay = 0;         // 0: no average is kept
  int64_t every_steps = 1;  // updates between two moves
  bool warmup = false;

  bool enabled() const { return decay > 0; }
  void fields(FieldVisitor& visit) {
    visit("decay", decay, Range{0, 1},
          "share of the average that stays at each move; 0: no average");
    visit("every_steps", every_steps, at_least(1), "updates between two moves");
    visit("warmup", warmup,
          "copy the weights for 100 updates, then raise the decay slowly (ema-pytorch)");
  }
};

struct EmaMove {
  bool copy = false;
  float weight = 0;  // 1 − d
};

// What the average does at the update with `updates` before it; nothing if it rests.
std::optional<EmaMove> ema_move(const EmaOptions& options, int64_t updates);

// Moves all of `ema`, for runs whose weights were updated elsewhere (design.md 3, rule 8); the same
// bits as the move that optimizers fold into their update.
void move_average(Arena& ema, const Arena& weights, const EmaMove& move);

}  // namespace lockstep
