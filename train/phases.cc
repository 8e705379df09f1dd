#include "train/phases.h"

#include <ATen/record_function.h>

namespace lockstep {

using Clock = std::chrono::steady_clock;

PhaseRange::PhaseRange(const char* name)
    : range_(std::make_unique<at::RecordFunction>(at::RecordScope::USER_SCOPE)),
      device_range_(name, range_->isActive()) {
  if (range_->isActive()) range_->before(name);
}

PhaseRange::~PhaseRange() = default;

PhaseScope::PhaseScope(const char* name, double& seconds)
    : seconds_(seconds), range_(name), start_(Clock::now()) {}

PhaseScope::~PhaseScope() {
  seconds_ += std::chrono::duration<double>(Clock::now() - start_).count();
}

}  // namespace lockstep
