#include "ddp/thread_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <optional>

namespace lockstep {

namespace {

// A message offered by one rank to another, copied by the receiver.
struct Mail {
  const void* data = nullptr;
  size_t bytes = 0;
  bool full = false;
};

struct Seat {                     // what a rank shows to the others
  int64_t arrivals = 0;           // collective meetings it has entered
  const void* offered = nullptr;  // memory that peers may read until the next meeting
  std::string waits_for;          // "" when it does not wait
  bool cancelled = false;
  bool gave_up = false;  // left a call by an exception: its memory may be gone
};

}  // namespace

struct ThreadRendezvous::State {
  State(int n, double seconds) : size(n), timeout(seconds), seats(n), mail(size_t(n) * n) {}
  const int size;
  const double timeout;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Seat> seats;
  std::vector<Mail> mail;  // [from × size + to]
  int aborted_by = -1;
  int abort_code = 0;
};

namespace {

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(ThreadRendezvous::State& state, int rank) : state_(state), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return state_.size; }
  const std::string& name() const override { return name_; }

  void barrier(const std::string& what) override { meet(what); }

  void broadcast(void* data, size_t bytes, int root, const std::string& what) override {
    offer(data, what);
    if (rank_ != root && bytes > 0) std::memcpy(data, offered(root), bytes);
    meet(what);  // nobody leaves before all have read
  }

  void all_gather(const void* mine, void* all, size_t bytes, const std::string& what) override {
    offer(mine, what);
    for (int r = 0; r < size() && bytes > 0; ++r)
      std::memcpy(static_cast<char*>(all) + r * bytes, offered(r), bytes);
    meet(what);  // nobody leaves before all have read
  }

  void all_reduce(float* data, size_t count, const std::string& what) override {
    offer(data, what);
    std::vector<float> sum(count, 0.0f);
    for (int r = 0; r < size(); ++r) {
      const float* theirs = static_cast<const float*>(offered(r));
      for (size_t i = 0; i < count; ++i) sum[i] += theirs[i];
    }
    meet(what);  // nobody leaves before all have read
    std::copy(sum.begin(), sum.end(), data);
  }

  void send(int peer, const void* data, size_t bytes, const std::string& what) override {
    std::unique_lock lock(state_.mutex);
    post(lock, peer, data, bytes, what);
    await_pickup(lock, peer, what);
  }

  void receive(int peer, void* data, size_t bytes, const std::string& what) override {
    std::unique_lock lock(state_.mutex);
    take(lock, peer, data, bytes, what);
  }

  void exchange(int peer, const void* out, size_t out_bytes, void* in, size_t in_bytes,
                const std::string& what) override {
    std::unique_lock lock(state_.mutex);
    post(lock, peer, out, out_bytes, what);
    take(lock, peer, in, in_bytes, what);
    await_pickup(lock, peer, what);
  }

  void cancel() noexcept override {
    std::lock_guard lock(state_.mutex);
    state_.seats[rank_].cancelled = true;
    state_.changed.notify_all();
  }

  void abort(int code) noexcept override {
    std::lock_guard lock(state_.mutex);
    if (state_.aborted_by < 0) {
      state_.aborted_by = rank_;
      state_.abort_code = code;
    }
    state_.changed.notify_all();
  }

 private:
  Seat& seat() { return state_.seats[rank_]; }
  Mail& mail(int from, int to) { return state_.mail[size_t(from) * state_.size + to]; }

  // Waits until `ready()`; `late()` lists the ranks that are missing.
  template <class Ready, class Late>
  void wait(std::unique_lock<std::mutex>& lock, const std::string& what, const Ready& ready,
            const Late& late) {
    seat().waits_for = what;
    const auto wake = [&] { return ready() || seat().cancelled || state_.aborted_by >= 0; };
    const bool in_time =
        state_.changed.wait_for(lock, std::chrono::duration<double>(state_.timeout), wake);
    if (std::optional<CommError> error = failure(what, in_time, ready(), late)) {
      seat().gave_up = true;
      for (int r = 0; r < size(); ++r) mail(rank_, r).full = false;
      throw *error;
    }
    seat().waits_for.clear();
  }

  template <class Late>
  std::optional<CommError> failure(const std::string& what, bool in_time, bool ready,
                                   const Late& late) {
    if (seat().cancelled)
      return CommError(fmt::format("'{}' was cancelled on rank {}", what, rank_));
    if (!in_time) return late_error(what, rank_, state_.timeout, late());
    if (!ready)
      return CommError(fmt::format("rank {} aborted with exit code {} while rank {} was at '{}'",
                                   state_.aborted_by, state_.abort_code, rank_, what));
    for (int r = 0; r < size(); ++r)
      if (state_.seats[r].gave_up)
        return CommError(fmt::format("rank {} gave up before '{}'", r, what));
    return std::nullopt;
  }

  // A meeting at which `memory` can be read by the others until the next one ends.
  void offer(const void* memory, const std::string& what) {
    {
      std::lock_guard lock(state_.mutex);
      seat().offered = memory;
    }
    meet(what);
  }

  void meet(const std::string& what) {
    std::unique_lock lock(state_.mutex);
    const int64_t mine = ++seat().arrivals;
    state_.changed.notify_all();
    const auto behind = [&] {
      std::vector<int> ranks;
      for (int r = 0; r < size(); ++r)
        if (state_.seats[r].arrivals < mine) ranks.push_back(r);
      return ranks;
    };
    wait(lock, what, [&] { return behind().empty(); }, behind);
  }

  const void* offered(int rank) {
    std::lock_guard lock(state_.mutex);
    return state_.seats[rank].offered;
  }

  void post(std::unique_lock<std::mutex>& lock, int peer, const void* data, size_t bytes,
            const std::string& what) {
    await_pickup(lock, peer, what);
    mail(rank_, peer) = {data, bytes, true};
    state_.changed.notify_all();
  }

  void await_pickup(std::unique_lock<std::mutex>& lock, int peer, const std::string& what) {
    wait(lock, what, [&] { return !mail(rank_, peer).full; }, [&] { return missing(peer); });
  }

  void take(std::unique_lock<std::mutex>& lock, int peer, void* data, size_t bytes,
            const std::string& what) {
    wait(lock, what, [&] { return mail(peer, rank_).full; }, [&] { return missing(peer); });
    Mail& message = mail(peer, rank_);
    if (message.bytes != bytes)
      throw CommError(fmt::format("rank {} sent {} bytes where rank {} expected {} at '{}'", peer,
                                  message.bytes, rank_, bytes, what));
    if (bytes > 0) std::memcpy(data, message.data, bytes);
    message.full = false;
    state_.changed.notify_all();
  }

  // Whoever does not wait is late; the peer itself may be waiting for somebody else.
  std::vector<int> missing(int peer) {
    std::vector<int> ranks;
    for (int r = 0; r < size(); ++r)
      if (r != rank_ && state_.seats[r].waits_for.empty()) ranks.push_back(r);
    if (std::find(ranks.begin(), ranks.end(), peer) != ranks.end()) return {peer};
    return ranks;
  }

  ThreadRendezvous::State& state_;
  const int rank_;
  const std::string name_ = "threads";
};

}  // namespace

ThreadRendezvous::ThreadRendezvous(int size, double timeout_seconds)
    : state_(std::make_unique<State>(size, timeout_seconds)) {}
ThreadRendezvous::~ThreadRendezvous() = default;
int ThreadRendezvous::size() const { return state_->size; }

std::unique_ptr<Communicator> ThreadRendezvous::communicator(int rank) {
  return std::make_unique<ThreadCommunicator>(*state_, rank);
}

}  // namespace lockstep
