#include "train/evaluate/in_touch.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <ATen/ATen.h>

#include "ddp/slot_threads.h"

namespace lockstep {
namespace {

// Meetings are close at first, since most evaluations are short.
constexpr double kFirstPause = 1e-3, kLongestPause = 0.25, kGrowth = 1.3;

// A rank's word at a meeting.
enum class Word : char { kBusy, kDone, kStop };

class Worker {
 public:
  explicit Worker(const std::function<void(const std::atomic<bool>&)>& work)
      : thread_([this, &work] { run(work); }) {}
  ~Worker() {
    give_up_ = true;
    if (thread_.joinable()) thread_.join();
  }

  // Whether the work is done after at most `seconds`. Rethrows what it threw.
  bool done_within(double seconds) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return done_; }))
      return false;
    if (failure_) std::rethrow_exception(failure_);
    return true;
  }

 private:
  void run(const std::function<void(const std::atomic<bool>&)>& work) {
    std::exception_ptr failure;
    try {
      set_up_compute_thread();
      const at::NoGradGuard no_grad;
      work(give_up_);
    } catch (const GivenUp&) {
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    done_ = true;
    changed_.notify_all();
  }

  std::atomic<bool> give_up_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::exception_ptr failure_;
  std::thread thread_;  // last: it uses the others
};

std::vector<Word> meet(Communicator& communicator, Word mine) {
  std::vector<Word> words(static_cast<size_t>(communicator.size()), mine);
  if (communicator.size() > 1)
    communicator.all_gather(&mine, words.data(), sizeof mine, "keeping in touch");
  return words;
}

}  // namespace

bool keep_in_touch(Communicator& communicator, const InTouch& talk,
                   const std::function<void(const std::atomic<bool>& give_up)>& work) {
  Worker worker(work);
  for (double pause = kFirstPause;; pause = std::min(pause * kGrowth, kLongestPause)) {
    const bool done = worker.done_within(pause);
    if (talk.turn) talk.turn(!done);
    const Word mine = talk.stop && talk.stop() ? Word::kStop : done ? Word::kDone : Word::kBusy;
    const std::vector<Word> words = meet(communicator, mine);
    if (std::find(words.begin(), words.end(), Word::kStop) != words.end()) return false;
    if (std::all_of(words.begin(), words.end(), [](Word word) { return word == Word::kDone; }))
      return true;
  }
}

}  // namespace lockstep
