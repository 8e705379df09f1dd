#include "ddp/tcp/mesh.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>

#include "core/errors.h"
#include "ddp/communicator.h"

namespace lockstep {

namespace {

constexpr const char* kConnecting = "connecting the ranks";
constexpr char kMagic[8] = {'L', 'C', 'K', 'S', 'T', 'C', 'P', '1'};
constexpr double kGreetingSeconds = 5;  // a stranger that says nothing holds us up no longer
constexpr int kChannels = 2;

using Clock = std::chrono::steady_clock;

// Sent by the side that connects; the other side answers with its own.
struct Greeting {
  char magic[8];
  uint32_t rank;
  uint32_t channel;  // 0 data, 1 notes
  char token[64];
};

Greeting greeting(int rank, int channel, const std::string& token) {
  Greeting out{};
  std::memcpy(out.magic, kMagic, sizeof kMagic);
  out.rank = static_cast<uint32_t>(rank);
  out.channel = static_cast<uint32_t>(channel);
  std::strncpy(out.token, token.c_str(), sizeof out.token - 1);
  return out;
}

bool is_from_job(const Greeting& theirs, const std::string& token) {
  const Greeting wanted = greeting(0, 0, token);
  return std::memcmp(theirs.magic, wanted.magic, sizeof kMagic) == 0 &&
         std::memcmp(theirs.token, wanted.token, sizeof wanted.token) == 0;
}

class Builder {
 public:
  Builder(int rank, const std::vector<RankCard>& cards, const std::string& token,
          double timeout_seconds)
      : rank_(rank),
        cards_(cards),
        token_(token),
        timeout_(timeout_seconds),
        end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                std::chrono::duration<double>(timeout_seconds))) {
    mesh_.data.resize(cards.size());
    mesh_.notes.resize(cards.size());
  }

  Mesh build(const Socket& listener) {
    const Address own = local_address(listener).with_port(0);
    for (int peer = 0; peer < rank_; ++peer)
      for (int channel = 0; channel < kChannels; ++channel) connect_to(peer, channel, own);
    while (!missing().empty()) take_one(listener);
    for (int peer = 0; peer < rank_; ++peer)
      for (int channel = 0; channel < kChannels; ++channel) expect_answer(peer, channel);
    return std::move(mesh_);
  }

 private:
  std::vector<Socket>& sockets(int channel) { return channel == 0 ? mesh_.data : mesh_.notes; }
  double seconds_left() const { return std::chrono::duration<double>(end_ - Clock::now()).count(); }
  int size() const { return static_cast<int>(cards_.size()); }

  std::vector<int> missing() const {
    std::vector<int> ranks;
    for (int peer = rank_ + 1; peer < size(); ++peer)
      if (!mesh_.data[peer] || !mesh_.notes[peer]) ranks.push_back(peer);
    return ranks;
  }

  void connect_to(int peer, int channel, const Address& own) {
    const Address to = resolve(cards_[peer].host, cards_[peer].port);
    for (;;) {
      if (auto socket = try_connect(to, own, std::max(seconds_left(), 0.1))) {
        send_at_once(*socket);
        const Greeting mine = greeting(rank_, channel, token_);
        if (!send_all(*socket, &mine, sizeof mine, kGreetingSeconds))
          throw late_error(kConnecting, rank_, timeout_, {peer});
        sockets(channel)[peer] = std::move(*socket);
        return;
      }
      if (seconds_left() <= 0)
        throw CommError(fmt::format("rank {} cannot reach rank {} at {}", rank_, peer, to.text()),
                        "let the nodes of the job reach each other on all ports, and check that "
                        "MASTER_ADDR is an address that "
                        "other nodes reach");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  // One connection, kept if it is of the job.
  void take_one(const Socket& listener) {
    if (seconds_left() <= 0) throw late_error(kConnecting, rank_, timeout_, missing());
    pollfd entry{listener.descriptor(), POLLIN, 0};
    if (poll(&entry, 1, 100) <= 0) return;
    Socket socket(accept4(listener.descriptor(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    const std::string host = peer_address(socket).host();
    if (std::none_of(cards_.begin(), cards_.end(),
                     [&](const RankCard& card) { return card.host == host; }))
      return;
    Greeting theirs{};
    if (!receive_all(socket, &theirs, sizeof theirs, kGreetingSeconds) ||
        !is_from_job(theirs, token_))
      return;
    const int peer = static_cast<int>(std::min<uint32_t>(theirs.rank, 1u << 30)),
              channel = static_cast<int>(theirs.channel);
    if (peer <= rank_ || peer >= size() || theirs.channel >= kChannels || cards_[peer].host != host)
      return;
    if (sockets(channel)[peer]) return;
    send_at_once(socket);
    const Greeting mine = greeting(rank_, channel, token_);
    if (send_all(socket, &mine, sizeof mine, kGreetingSeconds))
      sockets(channel)[peer] = std::move(socket);
  }

  void expect_answer(int peer, int channel) {
    Greeting theirs{};
    const Socket& socket = sockets(channel)[peer];
    if (!receive_all(socket, &theirs, sizeof theirs, std::max(seconds_left(), 0.1)))
      throw late_error(kConnecting, rank_, timeout_, {peer});
    if (!is_from_job(theirs, token_) || theirs.rank != static_cast<uint32_t>(peer))
      throw CommError(fmt::format("what answers at the address of rank {} is not that rank", peer),
                      "two jobs may share one master port: give each its own");
  }

  const int rank_;
  const std::vector<RankCard>& cards_;
  const std::string& token_;
  const double timeout_;
  const Clock::time_point end_;
  Mesh mesh_;
};

}  // namespace

Mesh connect_mesh(int rank, const std::vector<RankCard>& cards, const std::string& token,
                  const Socket& listener, double timeout_seconds) {
  return Builder(rank, cards, token, timeout_seconds).build(listener);
}

}  // namespace lockstep
