#include "data/parallel_for.h"

#include <sched.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace lockstep {
namespace {

struct Shared {
  std::atomic<int64_t> next{0}, done{0};
  std::mutex mutex;
  std::condition_variable finished;
  int running = 0;
  std::exception_ptr error;
};

void work(Shared& shared, int64_t end, const std::function<void(int64_t)>& body) {
  try {
    for (int64_t i; (i = shared.next.fetch_add(1)) < end; shared.done.fetch_add(1)) body(i);
  } catch (...) {
    shared.next.store(end);
    std::lock_guard lock(shared.mutex);
    if (!shared.error) shared.error = std::current_exception();
  }
  std::lock_guard lock(shared.mutex);
  --shared.running;
  shared.finished.notify_one();
}

}  // namespace

int num_threads(int64_t threads) {
  if (threads > 0) return static_cast<int>(threads);
  cpu_set_t cores;
  return ::sched_getaffinity(0, sizeof cores, &cores) == 0 ? std::max(1, CPU_COUNT(&cores)) : 1;
}

void parallel_for(int64_t begin, int64_t end, int threads, const std::function<void(int64_t)>& body,
                  const std::function<void(int64_t)>& on_progress) {
  if (begin >= end) return;
  Shared shared;
  shared.next = begin;
  shared.running = static_cast<int>(std::min<int64_t>(threads, end - begin));
  {
    std::vector<std::jthread> pool;
    for (int i = shared.running; i > 0; --i) pool.emplace_back([&] { work(shared, end, body); });
    std::unique_lock lock(shared.mutex);
    while (!shared.finished.wait_for(lock, std::chrono::milliseconds(100),
                                     [&] { return shared.running == 0; }))
      if (on_progress) on_progress(shared.done.load());
  }
  if (shared.error) std::rethrow_exception(shared.error);
  if (on_progress) on_progress(shared.done.load());
}

}  // namespace lockstep
