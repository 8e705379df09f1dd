// Where a rank stands in a job that MPI did not start: what torchrun, a cluster or our own
// launcher put into its environment.
//
//   RANK, WORLD_SIZE              this rank, number of ranks
//   LOCAL_RANK, LOCAL_WORLD_SIZE  the same within its machine (optional)
//   MASTER_ADDR, MASTER_PORT      where the ranks meet: an address of rank 0's machine
//   TORCHELASTIC_USE_AGENT_STORE  True: torchrun itself serves the store there
//   TORCHELASTIC_RESTART_COUNT    how often torchrun has started the ranks before
//   LOCKSTEP_MASTER_SOCKET        rank 0: a descriptor bound there already
//   LOCKSTEP_SECRET               what strangers on the machine do not know
//   LOCKSTEP_MEET_SECONDS         how long to wait for the others at the start, if not the timeout
#pragma once

#include <functional>
#include <string>

#include "core/rank_environment.h"

namespace lockstep {

struct JobPlace {
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;
  std::string master_address = "127.0.0.1";
  int master_port = 0;
  bool agent_store = false;
  int attempt = 0;
  int master_socket = -1;
  int meet_seconds = 0;  // 0: the timeout
  std::string secret;
};

// True if the environment names a rank and a number of ranks.
bool has_job_place(const EnvironmentLookup& environment);

// Throws ConfigError for a number that is none or a rank outside of the job, EnvironmentError if
// there are several ranks and no place to meet.
JobPlace read_job_place(const EnvironmentLookup& environment);

}  // namespace lockstep
