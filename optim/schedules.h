// Learning rate over the run (design.md 3, rule 9), in double.
//
// With u = updates + 1, w warm-up updates, T updates in all, f the final share:
//     u ≤ w:    lr·u/w
//     else      x = (u − 1 − w)/(T − w), per epoch x = ⌊epoch⌋/E
//     constant  lr      linear  lr·(1 − (1 − f)x)      cosine  lr·(f + (1 − f)(1 + cos πx)/2)
#pragma once

#include <cstdint>
#include <string>

#include "core/config/kinds.h"

namespace lockstep {

struct SchedulePosition {
  int64_t updates = 0;        // before this one
  int64_t total_updates = 0;  // T
  int64_t epoch = 0;          // ⌊epoch⌋ of the step
  int64_t epochs = 0;         // E; 0 if the run is not counted in epochs
};

class Schedule {
 public:
  virtual ~Schedule() = default;
  // The learning rate of this update, from the configured `lr`.
  virtual double rate(double lr, const SchedulePosition& position) const = 0;
};

struct ConstantScheduleOptions {
  int64_t warmup_steps = 0;
  void fields(FieldVisitor& visit) {
    visit("warmup_steps", warmup_steps, at_least(0), "updates of linear warm-up");
  }
};

struct DecayScheduleOptions {
  int64_t warmup_steps = 0;
  double final_share = 0;
  std::string per = "step";
  void fields(FieldVisitor& visit) {
    visit("warmup_steps", warmup_steps, at_least(0), "updates of linear warm-up");
    visit("final", final_share, Range{0, 1},
          "learning rate at the end, as a share of optimizer.lr");
    visit("per", per, OneOf{{"step", "epoch"}},
          "whether the rate changes every step or every epoch");
  }
};

// Rows: constant, linear, cosine.
Table<Schedule> schedules();

}  // namespace lockstep
