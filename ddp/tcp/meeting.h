// How ranks that MPI did not start find each other: through LibTorch's TCPStore at the master
// address, as PyTorch's ranks do, so that torchrun's own store serves as well.
//
// Rank 0 listens at the master address alone and hands that socket to the store (by itself the
// store would listen everywhere). Every rank leaves a card there: how many ranks it believes in,
// where it listens, and from rank 0 a random token that connections must show. The store has no
// password, so nothing but cards goes through it, and it is closed once the ranks are connected.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/errors.h"
#include "core/sockets.h"
#include "ddp/tcp/job_place.h"

namespace lockstep {

// What a rank says of itself at the meeting.
struct RankCard {
  int size = 0;      // its WORLD_SIZE
  std::string host;  // numeric address where it listens for its peers
  int port = 0;
  std::string token;  // hexadecimal; of rank 0 counts
};

class Meeting {
 public:
  // Collective. Opens the store (rank 0, unless torchrun's agent has one) or waits for it. Throws
  // CommError naming rank 0 if it does not come, EnvironmentError if the port is in use.
  Meeting(const JobPlace& place, double timeout_seconds);
  ~Meeting();

  // The address of this machine that the others reach, port 0.
  const Address& own_address() const { return own_address_; }

  // Collective. The cards of all ranks, in rank order. Throws CommError naming the ranks that do
  // not come, ConfigError if ranks disagree on WORLD_SIZE or two processes claim to be the same
  // rank.
  std::vector<RankCard> exchange_cards(const RankCard& mine);

 private:
  struct Store;
  std::string get(const std::string& key);
  void refuse(const Error& error);
  void throw_if_refused();
  void take_seat();
  RankCard wait_for_card(int rank);
  double seconds_left() const;

  const JobPlace place_;
  const double timeout_seconds_;
  const double end_seconds_;
  Address own_address_;
  std::unique_ptr<Store> store_;
};

// Notes that outlive the ranks, in the store of torchrun's agent: a rank of a later attempt reads
// what one of an earlier attempt wrote. Without an agent nothing is kept. Only for rank 0.
void keep_for_next_attempt(const JobPlace& place, const std::string& key, const std::string& value);
std::string kept_by_earlier_attempt(const JobPlace& place,
                                    const std::string& key);  // "" if nothing

}  // namespace lockstep
