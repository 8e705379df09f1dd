// The threads of a rank that compute slots, each with its own replica of the model.
//
// LibTorch with two intra-op threads gives other bits than with one, so a rank uses its cores by
// running slots side by side (design.md 3, rule 5). Every thread has one intra-op thread, flushes
// denormals and keeps no autocast cache (which would serve weights of the step before), so that
// it does not matter which thread computes a slot.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "ddp/slots.h"

namespace lockstep {

// Puts the calling thread into that state. Every thread that computes for a run calls it.
void set_up_compute_thread();

// Local slots [begin, end) of `thread` among `threads`, for `slots` local slots: contiguous.
SlotRange slots_of_thread(int64_t slots, int64_t threads, int64_t thread);

class SlotThreads {
 public:
  // Starts `threads` ≥ 1 threads, which live as long as this object.
  explicit SlotThreads(int threads);
  ~SlotThreads();
  SlotThreads(const SlotThreads&) = delete;
  SlotThreads& operator=(const SlotThreads&) = delete;

  int count() const;
  // Runs fn(thread, slot) for the local slots 0 … slots−1, each thread its contiguous range in
  // order, and waits for all. If some throw, the rest of their threads' slots is left out and the
  // exception of the lowest slot is rethrown here.
  void run(int64_t slots, const std::function<void(int thread, int64_t slot)>& fn);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
