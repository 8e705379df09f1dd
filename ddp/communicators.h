// The kinds of communicators, and which one a rank uses.
#pragma once

#include <memory>
#include <string>

#include "core/config/kinds.h"
#include "ddp/communicator.h"
#include "ddp/tcp/job_place.h"
#include "ddp/thread_ranks.h"

namespace lockstep {

// What a communicator is made from.
struct CommunicatorSetup {
  double timeout_seconds = 600;
  ThreadRendezvous* rendezvous = nullptr;  // for `threads`
  int rank = 0;                            // for `threads`
};

struct NoOptions {
  void fields(FieldVisitor&) {}
};

// Rows: single, threads, mpi, tcp.
Table<Communicator, const CommunicatorSetup&> communicators();

// What `ddp.backend: auto` means here: "mpi" if MPI or Slurm's PMIx started this process, "tcp" if
// torchrun, a cluster or our launcher gave it RANK and WORLD_SIZE, else "single". Throws
// ConfigError if `backend` does not fit whoever started the ranks, EnvironmentError if the process
// is one of several ranks that nothing connects.
std::string choose_backend(const std::string& backend, const EnvironmentLookup& environment);

// Collective for more than one rank. Throws EnvironmentError if the backend is not installed,
// ConfigError if it does not fit.
std::unique_ptr<Communicator> make_communicator(const std::string& backend,
                                                const CommunicatorSetup& setup);

}  // namespace lockstep
