// The kinds of communicators, and which one a rank uses.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/kinds.h"
#include "ddp/communicator.h"
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

// Rows: single, threads, mpi.
Table<Communicator, const CommunicatorSetup&> communicators();

// What `ddp.backend: auto` means here: "mpi" if MPI or Slurm's PMIx started this process, else
// "single". `environment` looks up a variable (nullptr if unset). Throws EnvironmentError if the
// process is one of several ranks that nothing connects.
std::string choose_backend(const std::string& backend,
                           const std::function<const char*(const char*)>& environment);

// Collective for more than one rank. Throws EnvironmentError if the backend is not installed,
// ConfigError if it does not fit.
std::unique_ptr<Communicator> make_communicator(const std::string& backend, const CommunicatorSetup& setup);

}  // namespace lockstep
