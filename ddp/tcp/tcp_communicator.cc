#include "ddp/tcp/tcp_communicator.h"

#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>

#include "core/errors.h"
#include "ddp/add.h"
#include "ddp/tcp/meeting.h"
#include "ddp/tcp/mesh.h"
#include "ddp/tcp/notes.h"
#include "ddp/tcp/transfer.h"

namespace lockstep {

namespace {

constexpr double kSpinSeconds =
    50e-6;                             // most exchanges end sooner than the kernel puts us to sleep
constexpr double kNoteSeconds = 1.0;   // waits longer than this are told to the others
constexpr double kStorySeconds = 0.5;  // how long a lost peer's last note may take
constexpr double kLeaveSeconds = 10;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string random_token() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    throw EnvironmentError("the system gives no random bytes");
  std::string text;
  for (unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

class TcpCommunicator final : public Communicator {
 public:
  TcpCommunicator(int rank, Mesh mesh, double timeout_seconds)
      : rank_(rank),
        size_(static_cast<int>(mesh.data.size())),
        timeout_(timeout_seconds),
        data_(std::move(mesh.data)),
        notes_(rank, std::move(mesh.notes)),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wake_) throw EnvironmentError("the system gives no event descriptor");
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const std::string& name() const override { return name_; }

  // By dissemination: after round k a rank knows of the 2^k ranks before it. Hensgen, Finkel,
  // Manber, "Two algorithms for barrier synchronization", 1988.
  void barrier(const std::string& what) override {
    char out = 0, in = 0;
    for (int distance = 1; distance < size_; distance *= 2)
      transfer((rank_ + distance) % size_, &out, 1, (rank_ - distance + size_) % size_, &in, 1,
               what);
  }

  // Along a binomial tree.
  void broadcast(void* data, size_t bytes, int root, const std::string& what) override {
    const int me = (rank_ - root + size_) % size_;
    int distance = 1;
    for (; distance < size_ && (me & distance) == 0; distance *= 2) {
    }
    if (me != 0) receive((me - distance + root) % size_, data, bytes, what);
    for (distance /= 2; distance >= 1; distance /= 2)
      if (me + distance < size_) send((me + distance + root) % size_, data, bytes, what);
  }

  // Around a ring: each round passes on what came in the last one.
  void all_gather(const void* mine, void* all, size_t bytes, const std::string& what) override {
    char* const parts = static_cast<char*>(all);
    if (bytes > 0) std::memmove(parts + rank_ * bytes, mine, bytes);
    for (int round = 0; round < size_ - 1; ++round) {
      const int out = (rank_ - round + size_) % size_, in = (out - 1 + size_) % size_;
      transfer((rank_ + 1) % size_, parts + out * bytes, bytes, (rank_ - 1 + size_) % size_,
               parts + in * bytes, bytes, what);
    }
  }

  // Around a ring, twice: sums of one part each, then the sums. Patarasu, Yuan, "Bandwidth optimal
  // all-reduce algorithms for clusters of workstations", JPDC 2009.
  void all_reduce(float* data, size_t count, const std::string& what) override {
    if (size_ == 1) return;
    const auto begin = [&](int part) {
      return count * static_cast<size_t>(part) / static_cast<size_t>(size_);
    };
    const auto length = [&](int part) { return begin(part + 1) - begin(part); };
    const int next = (rank_ + 1) % size_, previous = (rank_ - 1 + size_) % size_;
    std::vector<float> theirs(count / size_ + 1);
    for (int round = 0; round < 2 * (size_ - 1); ++round) {
      const int out = (rank_ - round + 2 * size_) % size_, in = (out - 1 + size_) % size_;
      const bool adds = round < size_ - 1;
      transfer(next, data + begin(out), length(out) * sizeof(float), previous,
               adds ? theirs.data() : data + begin(in), length(in) * sizeof(float), what);
      if (adds) add_into(data + begin(in), theirs.data(), static_cast<int64_t>(length(in)));
    }
  }

  void send(int peer, const void* data, size_t bytes, const std::string& what) override {
    OutgoingMessage out(data_.at(peer).descriptor(), data, bytes);
    run(&out, nullptr, -1, what);
  }

  void receive(int peer, void* data, size_t bytes, const std::string& what) override {
    IncomingMessage in(data_.at(peer).descriptor(), data, bytes);
    run(nullptr, &in, peer, what);
  }

  void exchange(int peer, const void* out, size_t out_bytes, void* in, size_t in_bytes,
                const std::string& what) override {
    transfer(peer, out, out_bytes, peer, in, in_bytes, what);
  }

  void limit_waits(double seconds) override { timeout_ = std::min(timeout_, seconds); }
  void cancel() noexcept override {
    cancelled_ = true;
    const uint64_t one = 1;
    if (write(wake_.descriptor(), &one, sizeof one) < 0)
      return;  // only a counter that is full: awake anyway
  }

  void abort(int code) noexcept override {
    try {
      notes_.tell_aborted(code);
    } catch (...) {  // no memory for a note: the end of the connections tells as much
    }
    for (Socket& socket : data_)
      if (socket) shutdown(socket.descriptor(), SHUT_RDWR);
  }

  void close() override {
    barrier("end of the run");
    notes_.leave(kLeaveSeconds);
    notes_.close();
    data_.clear();
  }

 private:
  void transfer(int to, const void* out, size_t out_bytes, int from, void* in, size_t in_bytes,
                const std::string& what) {
    if (size_ == 1) return;
    OutgoingMessage outgoing(data_.at(to).descriptor(), out, out_bytes);
    IncomingMessage incoming(data_.at(from).descriptor(), in, in_bytes);
    run(&outgoing, &incoming, from, what);
  }

  // Moves both messages to their ends; `from` names the sender of `in`.
  void run(OutgoingMessage* out, IncomingMessage* in, int from, const std::string& what) {
    const auto start = Clock::now();
    bool told = false;
    for (;;) {
      bool moved = false, ended = false;
      if (cancelled_) throw CommError(fmt::format("'{}' was cancelled on rank {}", what, rank_));
      if (out != nullptr && !out->done()) note(out->move(), moved, ended);
      if (in != nullptr && !in->done() && !in->has_wrong_length()) note(in->move(), moved, ended);
      if (in != nullptr && in->has_wrong_length()) throw_wrong_length(*in, from, what);
      if ((out == nullptr || out->done()) && (in == nullptr || in->done())) break;
      if (ended) throw_loss(what);
      if (moved) continue;
      const double waited = seconds_since(start);
      if (waited < kSpinSeconds) {
        sched_yield();  // lets a slot thread of this core go first
        continue;
      }
      if (!told && waited > std::min(kNoteSeconds, timeout_ / 4)) {
        notes_.tell_waiting(what);
        told = true;
      }
      if (waited > timeout_) throw_late(what);
      sleep_until_ready(out, in,
                        told ? timeout_ - waited : std::min(kNoteSeconds, timeout_ / 4) - waited);
      notes_.read();
      // A peer that ended may still have sent what we wait for: that is looked at first.
      if (notes_.lost_rank() >= 0 && !is_ready(out, in)) throw_loss(what);
    }
    if (told) notes_.tell_waiting("");
  }

  static void note(Moved moved, bool& some, bool& ended) {
    some |= moved == Moved::kSome;
    ended |= moved == Moved::kEnded;
  }

  std::vector<pollfd> data_entries(const OutgoingMessage* out, const IncomingMessage* in) const {
    std::vector<pollfd> entries;
    if (out != nullptr && !out->done()) entries.push_back({out->descriptor(), POLLOUT, 0});
    if (in != nullptr && !in->done()) entries.push_back({in->descriptor(), POLLIN, 0});
    return entries;
  }

  bool is_ready(const OutgoingMessage* out, const IncomingMessage* in) const {
    std::vector<pollfd> entries = data_entries(out, in);
    return poll(entries.data(), entries.size(), 0) > 0;
  }

  void sleep_until_ready(const OutgoingMessage* out, const IncomingMessage* in,
                         double seconds) const {
    std::vector<pollfd> entries = data_entries(out, in);
    entries.push_back({wake_.descriptor(), POLLIN, 0});
    for (int r = 0; r < size_; ++r) entries.push_back({notes_.descriptor(r), POLLIN, 0});
    poll(entries.data(), entries.size(),
         static_cast<int>(1000 * std::clamp(seconds, 0.0, 1.0)) + 1);
  }

  [[noreturn]] void give_up(const CommError& error) {
    notes_.tell_gave_up(error.fact());
    throw error;
  }

  [[noreturn]] void throw_wrong_length(const IncomingMessage& in, int from,
                                       const std::string& what) {
    give_up(CommError(
        fmt::format("rank {} sent {} bytes where rank {} expected {} at '{}'", from,
                    in.announced_bytes(), rank_, in.expected_bytes(), what),
        "the ranks do not make the same calls; please report this with the logs of all ranks"));
  }

  [[noreturn]] void throw_late(const std::string& what) {
    notes_.read();
    give_up(late_error(what, rank_, timeout_, notes_.silent(), notes_.elsewhere()));
  }

  // A connection ended. Its notes may be a moment behind.
  [[noreturn]] void throw_loss(const std::string& what) {
    const auto start = Clock::now();
    for (notes_.read(); notes_.lost_rank() < 0 && seconds_since(start) < kStorySeconds;
         notes_.read())
      usleep(5000);
    const int rank = notes_.lost_rank();
    give_up(CommError(notes_.loss(what).value_or(
                          fmt::format("a rank ended while rank {} was at '{}'", rank_, what)),
                      rank < 0 ? "see the logs of the other ranks"
                               : fmt::format("see the log of rank {}", rank)));
  }

  const int rank_, size_;
  double timeout_;
  const std::string name_ = "tcp";
  std::vector<Socket> data_;
  TcpNotes notes_;
  Socket wake_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace

std::unique_ptr<Communicator> make_tcp_communicator(const JobPlace& place, double timeout_seconds) {
  Meeting meeting(place, place.meet_seconds > 0 ? place.meet_seconds : timeout_seconds);
  const Socket listener = listen_at(meeting.own_address(), "");
  RankCard mine{place.size, meeting.own_address().host(), local_address(listener).port(), ""};
  if (place.rank == 0) mine.token = random_token();
  const std::vector<RankCard> cards = meeting.exchange_cards(mine);
  Mesh mesh =
      connect_mesh(place.rank, cards, cards[0].token + place.secret, listener, timeout_seconds);
  auto communicator =
      std::make_unique<TcpCommunicator>(place.rank, std::move(mesh), timeout_seconds);
  communicator->barrier("connecting the ranks");  // then nobody needs the store any more
  return communicator;
}

}  // namespace lockstep
