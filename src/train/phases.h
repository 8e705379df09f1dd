// The named phases of a training step: timed for metrics.jsonl, and ranges in a profile.
#pragma once

#include <chrono>
#include <memory>

namespace at {
struct RecordFunction;
}

namespace lockstep {

// Seconds of one step, of this rank; slot threads run side by side, so theirs are means over threads.
struct PhaseSeconds {
  double forward = 0;
  double backward = 0;
  double update = 0;  // norm, clip, optimizer, EMA
};

// Adds the seconds of its scope to `seconds`; a running profiler sees a range called `name`.
class PhaseScope {
 public:
  PhaseScope(const char* name, double& seconds);
  ~PhaseScope();
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  double& seconds_;
  std::unique_ptr<at::RecordFunction> range_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace lockstep
