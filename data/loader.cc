#include "data/loader.h"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "core/errors.h"

namespace lockstep {

struct Loader::State {
  struct Result {
    Batch batch;
    std::exception_ptr error;
  };

  const Dataset& dataset;
  const Order order;
  const Indices indices;
  const int64_t prefetch;

  std::mutex mutex;
  std::condition_variable room, filled;
  int64_t next_claim, next_delivery;
  int64_t end = std::numeric_limits<int64_t>::max();  // first micro-batch that no thread need claim
  bool stopping = false;
  std::map<int64_t, Result> results;
  double waited = 0;  // the consumer's alone
  std::vector<std::thread> threads;

  ~State() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
      room.notify_all();
    }
    for (std::thread& thread : threads) thread.join();
  }

  // The next micro-batch for a thread; nothing: no more work.
  std::optional<int64_t> claim() {
    std::unique_lock lock(mutex);
    room.wait(lock, [&] {
      return stopping || next_claim >= end || next_claim < next_delivery + prefetch;
    });
    if (stopping || next_claim >= end) return std::nullopt;
    return next_claim++;
  }

  void deliver(int64_t n, Result result) {
    std::lock_guard lock(mutex);
    // The end and an error are the last thing the consumer sees.
    if (result.error || result.batch.rows() == 0) end = std::min(end, n + 1);
    results.emplace(n, std::move(result));
    filled.notify_one();
    room.notify_all();
  }

  Batch fetch(int64_t n) const {
    std::vector<int64_t> wanted = indices(n);
    std::vector<int64_t> ids(wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) ids[i] = wanted[i] < 0 ? -1 : order(wanted[i]);
    if (ids.empty()) return {};
    Batch batch = dataset.read(ids);
    batch.indices = std::move(wanted);
    return batch;
  }

  void work() {
    while (const auto n = claim()) {
      Result result;
      try {
        result.batch = fetch(*n);
      } catch (...) {
        result.error = std::current_exception();
      }
      deliver(*n, std::move(result));
    }
  }
};

Loader::Loader(const Dataset& dataset, Order order, Indices indices, int64_t first,
               const LoaderOptions& options)
    : state_(new State{dataset,
                       std::move(order),
                       std::move(indices),
                       options.prefetch_batches,
                       {},
                       {},
                       {},
                       first,
                       first}) {
  if (options.threads < 1 || options.prefetch_batches < 1)
    throw InternalError("a loader needs at least one thread and one batch of room");
  for (int i = 0; i < options.threads; ++i)
    state_->threads.emplace_back([state = state_.get()] { state->work(); });
}

Loader::~Loader() = default;

Batch Loader::next() {
  State& state = *state_;
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(state.mutex);
  state.filled.wait(lock, [&] { return state.results.contains(state.next_delivery); });
  state.waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto found = state.results.find(state.next_delivery);
  // The last result stays where it is: later calls meet it again.
  if (found->second.error) std::rethrow_exception(found->second.error);
  if (found->second.batch.rows() == 0) return {};
  Batch batch = std::move(found->second.batch);
  state.results.erase(found);
  ++state.next_delivery;
  state.room.notify_all();
  return batch;
}

double Loader::waited_seconds() const { return state_->waited; }

}  // namespace lockstep
