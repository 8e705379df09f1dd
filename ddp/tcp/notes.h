// Notes between ranks on connections of their own, so that an error can name the rank that is
// the cause and not merely the one that was asked.
//
// A rank that has waited for a second tells all others what it waits for, and takes it back when
// the wait ends; whoever has not said that it waits when a deadline passes is the late one. A rank
// that gives up says why; one that ends without a word, because it was killed or has its own
// error to tell, shows by the end of its connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/sockets.h"

namespace lockstep {

class TcpNotes {
 public:
  TcpNotes(int rank, std::vector<Socket> sockets);

  // To all others, without waiting; the empty string takes the note back.
  void tell_waiting(const std::string& what);
  void tell_gave_up(const std::string& why);
  void tell_aborted(int code);
  // Says that this rank leaves in good order, and waits until all others have said so too.
  void leave(double seconds);

  // Reads what has arrived.
  void read();
  // Why a peer is lost, for people, if one is: "rank 2 ended" …; `what`: where this rank is.
  std::optional<std::string> loss(const std::string& what) const;
  // The rank to look at after a loss: it ended without a word, or gave up, or aborted.
  int lost_rank() const;
  // Ranks other than this one that have not said that they wait, as of the last read().
  std::vector<int> silent() const;
  // "rank 1 at 'x', rank 2 at 'y'".
  std::string elsewhere() const;
  // For poll(): -1 for this rank and for connections that have ended.
  int descriptor(int rank) const { return peers_[rank].ended ? -1 : sockets_[rank].descriptor(); }
  // Ends all connections.
  void close() { sockets_.clear(); }

 private:
  enum class Kind : uint32_t { kWaiting = 1, kGaveUp, kAborted, kLeft };
  struct Note {
    Kind kind;
    int32_t code;
    char text[216];
  };
  struct Peer {
    std::string waits_for, gave_up;
    std::optional<int> aborted;
    bool left = false, ended = false;
    std::string inbox, outbox;  // parts of notes
  };
  void tell(Kind kind, const std::string& text, int code = 0);
  void flush(int rank);
  void take(Peer& peer, const Note& note);

  const int rank_;
  std::vector<Socket> sockets_;
  std::vector<Peer> peers_;
};

}  // namespace lockstep
