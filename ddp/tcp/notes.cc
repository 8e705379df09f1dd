#include "ddp/tcp/notes.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace lockstep {

TcpNotes::TcpNotes(int rank, std::vector<Socket> sockets)
    : rank_(rank), sockets_(std::move(sockets)), peers_(sockets_.size()) {
  peers_[rank_].ended = true;
}

void TcpNotes::tell_waiting(const std::string& what) { tell(Kind::kWaiting, what); }
void TcpNotes::tell_gave_up(const std::string& why) { tell(Kind::kGaveUp, why); }
void TcpNotes::tell_aborted(int code) { tell(Kind::kAborted, "", code); }

void TcpNotes::tell(Kind kind, const std::string& text, int code) {
  Note note;
  std::memset(&note, 0, sizeof note);
  note.kind = kind;
  note.code = code;
  std::strncpy(note.text, text.c_str(), sizeof note.text - 1);
  for (size_t r = 0; r < peers_.size(); ++r) {
    if (peers_[r].ended) continue;
    peers_[r].outbox.append(reinterpret_cast<const char*>(&note), sizeof note);
    flush(static_cast<int>(r));
  }
}

// What does not fit into the socket's buffer goes with the next note.
void TcpNotes::flush(int rank) {
  std::string& outbox = peers_[rank].outbox;
  const ssize_t sent =
      send(sockets_[rank].descriptor(), outbox.data(), outbox.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent > 0) outbox.erase(0, static_cast<size_t>(sent));
}

void TcpNotes::leave(double seconds) {
  tell(Kind::kLeft, "");
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  const auto all_left = [&] {
    return std::all_of(peers_.begin(), peers_.end(),
                       [](const Peer& peer) { return peer.left || peer.ended; });
  };
  for (read(); !all_left() && std::chrono::steady_clock::now() < end; read()) {
    std::vector<pollfd> entries;
    for (size_t r = 0; r < peers_.size(); ++r)
      if (!peers_[r].left && !peers_[r].ended)
        entries.push_back({sockets_[r].descriptor(), POLLIN, 0});
    poll(entries.data(), entries.size(), 100);
  }
}

void TcpNotes::read() {
  char buffer[4096];
  for (size_t r = 0; r < peers_.size(); ++r) {
    Peer& peer = peers_[r];
    while (!peer.ended) {
      const ssize_t got = recv(sockets_[r].descriptor(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) break;
      if (got <= 0) {
        peer.ended = true;
        break;
      }
      peer.inbox.append(buffer, static_cast<size_t>(got));
    }
    size_t used = 0;
    for (; peer.inbox.size() - used >= sizeof(Note); used += sizeof(Note)) {
      Note note;
      std::memcpy(&note, peer.inbox.data() + used, sizeof note);
      note.text[sizeof note.text - 1] = '\0';
      take(peer, note);
    }
    peer.inbox.erase(0, used);
  }
}

void TcpNotes::take(Peer& peer, const Note& note) {
  switch (note.kind) {
    case Kind::kWaiting:
      peer.waits_for = note.text;
      break;
    case Kind::kGaveUp:
      peer.gave_up = note.text;
      break;
    case Kind::kAborted:
      peer.aborted = note.code;
      break;
    case Kind::kLeft:
      peer.left = true;
      break;
  }
}

int TcpNotes::lost_rank() const {
  const auto find = [&](const auto& is) {
    for (size_t r = 0; r < peers_.size(); ++r)
      if (static_cast<int>(r) != rank_ && !peers_[r].left && is(peers_[r]))
        return static_cast<int>(r);
    return -1;
  };
  const int aborted = find([](const Peer& peer) { return peer.aborted.has_value(); });
  if (aborted >= 0) return aborted;
  // Whoever ended without a word is the cause, those that gave up are its victims.
  const int ended = find([](const Peer& peer) { return peer.ended && peer.gave_up.empty(); });
  if (ended >= 0) return ended;
  return find([](const Peer& peer) { return !peer.gave_up.empty(); });
}

std::optional<std::string> TcpNotes::loss(const std::string& what) const {
  const int rank = lost_rank();
  if (rank < 0) return std::nullopt;
  const Peer& peer = peers_[rank];
  if (peer.aborted)
    return fmt::format("rank {} aborted with exit code {} while rank {} was at '{}'", rank,
                       *peer.aborted, rank_, what);
  if (peer.gave_up.empty())
    return fmt::format("rank {} ended while rank {} was at '{}'", rank, rank_, what);
  return fmt::format("rank {} gave up before '{}': {}", rank, what, peer.gave_up);
}

std::vector<int> TcpNotes::silent() const {
  std::vector<int> ranks;
  for (size_t r = 0; r < peers_.size(); ++r)
    if (static_cast<int>(r) != rank_ && peers_[r].waits_for.empty())
      ranks.push_back(static_cast<int>(r));
  return ranks;
}

std::string TcpNotes::elsewhere() const {
  std::string text;
  for (size_t r = 0; r < peers_.size(); ++r)
    if (static_cast<int>(r) != rank_ && !peers_[r].waits_for.empty())
      text += fmt::format("{}rank {} at '{}'", text.empty() ? "" : ", ", r, peers_[r].waits_for);
  return text;
}

}  // namespace lockstep
