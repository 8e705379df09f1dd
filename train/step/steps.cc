#include "train/step/steps.h"

namespace lockstep {
namespace {

class HostSteps final : public Steps {
 public:
  explicit HostSteps(Session& session) : step_(session) {}
  std::vector<StepResult> run() override { return {step_.run()}; }
  std::vector<StepResult> finish() override { return {}; }

 private:
  TrainingStep step_;
};

}  // namespace

std::unique_ptr<Steps> make_steps(Session& session) {
  if (session.device().is_cpu()) return std::make_unique<HostSteps>(session);
  return make_device_steps(session);
}

}  // namespace lockstep
