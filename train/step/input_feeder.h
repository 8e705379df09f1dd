// Makes the host's half of coming steps ahead of time, on threads of its own: reads batches in
// order and draws what the loss needs (Task::loss_inputs). The results do not depend on the number
// of threads.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "core/bounded_queue.h"
#include "data/loader.h"
#include "data/sample_order.h"
#include "ddp/slots.h"
#include "train/session.h"

namespace lockstep {

class InputFeeder {
 public:
  // For the slots of this rank, from the session's step on; `few_shapes` as in StepContext. `ahead`
  // ≥ 1 steps are made at once at most.
  InputFeeder(Session& session, SlotRange slots, int64_t few_shapes, size_t ahead);
  ~InputFeeder();
  // The micro-batches of the next step, slot after slot. Throws what reading or drawing threw.
  std::vector<LossInputs> next();
  // Seconds that next() has waited so far.
  double waited_seconds() const { return waited_; }

 private:
  using Step = std::vector<LossInputs>;
  void read(int64_t step);

  Session& session_;
  const int64_t a_step_, few_shapes_;
  const SampleOrder order_;
  std::unique_ptr<Loader> loader_;
  BoundedQueue<std::future<Step>> steps_;
  std::thread reader_;
  double waited_ = 0;
};

}  // namespace lockstep
