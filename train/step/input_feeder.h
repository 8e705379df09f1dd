// Prepares the inputs of coming steps on threads of its own: reads batches in order and draws what
// the loss needs (Task::loss_inputs). The results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "core/bounded_queue.h"
#include "train/step/step_rules.h"

namespace lockstep {

class InputFeeder {
 public:
  // For the slots of this rank, from the session's step on. `few_shapes`: see StepContext. At most
  // `ahead` ≥ 1 steps are made at once. Both references outlive it.
  InputFeeder(Session& session, const StepRules& rules, int64_t few_shapes, size_t ahead);
  ~InputFeeder();
  // The micro-batches of the next step, slot after slot. Throws what reading or drawing threw.
  std::vector<LossInputs> next();
  // Seconds that next() has waited so far.
  double waited_seconds() const { return waited_; }

 private:
  using Step = std::vector<LossInputs>;
  void read(int64_t step);

  Session& session_;
  const StepRules& rules_;
  const int64_t micro_batches_;  // of this rank, a step
  const int64_t few_shapes_;
  std::unique_ptr<Loader> loader_;
  BoundedQueue<std::future<Step>> steps_;
  std::thread reader_;
  double waited_ = 0;
};

}  // namespace lockstep
