#include "optim/schedules.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lockstep {

namespace {

double share_done(const DecayScheduleOptions& options, const SchedulePosition& position) {
  if (options.per == "epoch") {
    if (position.epochs < 1)
      throw ConfigError("schedule.per: epoch needs a run that is counted in epochs",
                        "set train.epochs, or per: step");
    return std::min(1.0,
                    static_cast<double>(position.epoch) / static_cast<double>(position.epochs));
  }
  const double after_warmup = static_cast<double>(position.updates - options.warmup_steps);
  return std::min(
      1.0, after_warmup / static_cast<double>(position.total_updates - options.warmup_steps));
}

// `shape(f, x)`: the share of the rate after warm-up.
template <class Shape>
class WarmupThen final : public Schedule {
 public:
  WarmupThen(DecayScheduleOptions options, Shape shape)
      : options_(std::move(options)), shape_(shape) {}
  double rate(double lr, const SchedulePosition& position) const override {
    const int64_t update = position.updates + 1;
    if (update <= options_.warmup_steps)
      return lr * static_cast<double>(update) / static_cast<double>(options_.warmup_steps);
    return lr * shape_(options_, position);
  }

 private:
  DecayScheduleOptions options_;
  Shape shape_;
};

template <class Shape>
std::unique_ptr<Schedule> warmup_then(const DecayScheduleOptions& options, Shape shape) {
  return std::make_unique<WarmupThen<Shape>>(options, shape);
}

}  // namespace

Table<Schedule> schedules() {
  Table<Schedule> table("schedule");
  table.add<ConstantScheduleOptions>(
      "constant", "the same rate after warm-up", [](const ConstantScheduleOptions& o) {
        return warmup_then(
            {.warmup_steps = o.warmup_steps},
            [](const DecayScheduleOptions&, const SchedulePosition&) { return 1.0; });
      });
  table.add<DecayScheduleOptions>(
      "linear", "a straight line to the final share", [](const DecayScheduleOptions& o) {
        return warmup_then(
            o, [](const DecayScheduleOptions& options, const SchedulePosition& position) {
              return 1 - (1 - options.final_share) * share_done(options, position);
            });
      });
  table.add<DecayScheduleOptions>(
      "cosine", "half a cosine to the final share", [](const DecayScheduleOptions& o) {
        return warmup_then(
            o, [](const DecayScheduleOptions& options, const SchedulePosition& position) {
              const double x = share_done(options, position);
              return options.final_share +
                     (1 - options.final_share) * (1 + std::cos(std::numbers::pi * x)) / 2;
            });
      });
  return table;
}

}  // namespace lockstep
