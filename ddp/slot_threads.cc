#include "ddp/slot_threads.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/errors.h"

namespace lockstep {

void set_up_compute_thread() {
  at::set_num_threads(1);
  at::globalContext().setFlushDenormal(true);
  at::autocast::set_autocast_cache_enabled(false);
}

SlotRange slots_of_thread(int64_t slots, int64_t threads, int64_t thread) {
  return slots_of_rank(slots, threads, thread);
}

struct SlotThreads::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::thread> threads;
  const std::function<void(int, int64_t)>* work = nullptr;
  int64_t slots = 0;
  int64_t round = 0;  // counts run() calls
  int busy = 0;       // threads that have not finished this round
  bool ending = false;
  std::exception_ptr error;
  int64_t error_slot = 0;  // the slot that threw `error`

  void record(std::exception_ptr thrown, int64_t slot) {
    std::lock_guard lock(mutex);
    if (!error || slot < error_slot) {
      error = std::move(thrown);
      error_slot = slot;
    }
  }

  void compute(int thread, const std::function<void(int, int64_t)>& fn, int64_t num_slots) {
    const SlotRange range =
        slots_of_thread(num_slots, static_cast<int64_t>(threads.size()), thread);
    for (int64_t slot = range.begin; slot < range.end; ++slot) {
      try {
        fn(thread, slot);
      } catch (...) {
        return record(std::current_exception(), slot);
      }
    }
  }

  void loop(int thread) {
    set_up_compute_thread();
    std::unique_lock lock(mutex);
    for (int64_t done = 0;;) {
      changed.wait(lock, [&] { return ending || round > done; });
      if (ending) return;
      done = round;
      const auto* fn = work;
      const int64_t num_slots = slots;
      lock.unlock();
      compute(thread, *fn, num_slots);
      lock.lock();
      if (--busy == 0) changed.notify_all();
    }
  }
};

SlotThreads::SlotThreads(int threads) : state_(std::make_unique<State>()) {
  if (threads < 1) throw InternalError("a rank needs at least one slot thread");
  std::lock_guard lock(state_->mutex);  // threads see the whole vector
  for (int i = 0; i < threads; ++i)
    state_->threads.emplace_back([state = state_.get(), i] { state->loop(i); });
}

SlotThreads::~SlotThreads() {
  {
    std::lock_guard lock(state_->mutex);
    state_->ending = true;
  }
  state_->changed.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

int SlotThreads::count() const { return static_cast<int>(state_->threads.size()); }

void SlotThreads::run(int64_t slots, const std::function<void(int, int64_t)>& fn) {
  std::unique_lock lock(state_->mutex);
  state_->work = &fn;
  state_->slots = slots;
  state_->error = nullptr;
  state_->busy = count();
  ++state_->round;
  state_->changed.notify_all();
  state_->changed.wait(lock, [&] { return state_->busy == 0; });
  if (state_->error) std::rethrow_exception(std::exchange(state_->error, nullptr));
}

}  // namespace lockstep
