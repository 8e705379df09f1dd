#include "train/phases.h"

#include <ATen/record_function.h>

namespace lockstep {

using Clock = std::chrono::steady_clock;

PhaseScope::PhaseScope(const char* name, double& seconds)
    : seconds_(seconds), range_(std::make_unique<at::RecordFunction>(at::RecordScope::USER_SCOPE)), start_(Clock::now()) {
  if (range_->isActive()) range_->before(name);
}

PhaseScope::~PhaseScope() { seconds_ += std::chrono::duration<double>(Clock::now() - start_).count(); }

}  // namespace lockstep
