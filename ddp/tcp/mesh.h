// Connections between every two ranks of a job: one for data, one for notes.
//
// A rank listens at its own address only, takes connections from addresses of the job only, and
// keeps those that show the token of the job.
#pragma once

#include <string>
#include <vector>

#include "core/sockets.h"
#include "ddp/tcp/meeting.h"

namespace lockstep {

// Indexed by rank; this rank's own entries are empty.
struct Mesh {
  std::vector<Socket> data, notes;
};

// Collective. Connects to the ranks below, then takes the connections of those above. `cards` are
// those of all ranks; `listener` is where `cards[rank]` says. Throws CommError naming who is late.
Mesh connect_mesh(int rank, const std::vector<RankCard>& cards, const std::string& token,
                  const Socket& listener, double timeout_seconds);

}  // namespace lockstep
