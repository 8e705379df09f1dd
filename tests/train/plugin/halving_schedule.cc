// An example plug-in: a schedule that halves the learning rate at intervals (docs/plugins.md).
#include <cmath>
#include <memory>

#include "train/plan/kinds.h"

namespace {

struct HalvingOptions {
  int64_t every_updates = 100;
  void fields(lockstep::FieldVisitor& visit) {
    visit("every_updates", every_updates, lockstep::at_least(1), "updates between two halvings");
  }
};

class HalvingSchedule : public lockstep::Schedule {
 public:
  explicit HalvingSchedule(const HalvingOptions& options) : options_(options) {}
  double rate(double lr, const lockstep::SchedulePosition& position) const override {
    return lr * std::exp2(-static_cast<double>(position.updates / options_.every_updates));
  }

 private:
  HalvingOptions options_;
};

}  // namespace

extern "C" void lockstep_plugin(int abi, lockstep::Kinds* kinds) {
  if (abi != lockstep::kPluginAbi)
    throw lockstep::EnvironmentError("built for another version of lockstep");
  kinds->schedules.add<HalvingOptions>(
      "halving", "half the rate every so many updates",
      [](const HalvingOptions& options) { return std::make_unique<HalvingSchedule>(options); });
}
