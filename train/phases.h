// The named phases of a training step: timed for metrics.jsonl, and ranges in a profile.
#pragma once

#include <chrono>
#include <memory>

#include "tensor/range.h"

namespace at {
struct RecordFunction;
}

namespace lockstep {

// Seconds of one step of this rank. Slot threads run side by side, so forward and backward are
// means over threads.
struct PhaseSeconds {
  double forward = 0;
  double backward = 0;
  double update = 0;  // norm, clip, optimizer, EMA
};

// Seconds of one step in a device's compute queue. A graph is seen as a whole: a replayed step has
// `graph` instead of forward, backward, exchange and update.
struct DeviceSeconds {
  double copy = 0;  // until the inputs are at their place
  double forward = 0, backward = 0, update = 0;
  double exchange = 0;  // waiting for other ranks
  double graph = 0;
  double all = 0;
  bool in_graph = false;
};

// A range called `name` while it lives, for a profiler that is running: in its trace, and as NVTX
// on a GPU.
class PhaseRange {
 public:
  explicit PhaseRange(const char* name);
  ~PhaseRange();
  PhaseRange(const PhaseRange&) = delete;
  PhaseRange& operator=(const PhaseRange&) = delete;

 private:
  const std::unique_ptr<at::RecordFunction> range_;
  const DeviceRange device_range_;
};

// A PhaseRange that also adds the seconds of its scope to `seconds`.
class PhaseScope {
 public:
  PhaseScope(const char* name, double& seconds);
  ~PhaseScope();
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  double& seconds_;
  const PhaseRange range_;
  const std::chrono::steady_clock::time_point start_;
};

}  // namespace lockstep
