// The communicator of ranks that MPI did not start (torchrun, a cluster, `launch.with: local`).
//
// Ranks meet in LibTorch's TCPStore (meeting.h), then every two of them share two TCP connections
// (mesh.h). Not LibTorch's Gloo: its wheel lacks Gloo's headers, a wait of Gloo that times out
// breaks all connections without saying who was late, no wait can be cancelled, and its listener
// takes anyone's connections (docs/limits.md). What is added in which order is decided above
// (tree.h), so the bits are those of MPI.
#pragma once

#include <memory>

#include "ddp/communicator.h"
#include "ddp/tcp/job_place.h"

namespace lockstep {

// Collective. Returns when all ranks are connected; the meeting and every later call have the
// deadline `timeout_seconds`. Starts no thread that lives on. Throws CommError, EnvironmentError,
// ConfigError as meeting.h and mesh.h say.
std::unique_ptr<Communicator> make_tcp_communicator(const JobPlace& place, double timeout_seconds);

}  // namespace lockstep
