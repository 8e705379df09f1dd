// Moves bytes between the ranks of a run.
//
// One interface with four kinds behind it (communicators.h): `single` (one rank), `threads`
// (ranks in one process, for tests), `mpi`, and `tcp` (ranks that MPI did not start). What is added
// up in which order is decided above (tree.h), so that every kind gives the same bits.
//
// Every call has a deadline and a name (`what`): a rank that does not arrive in time ends the
// run with an error that says who was waited for and where, instead of a silent hang.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/errors.h"

namespace lockstep {

// All calls but cancel() come from one thread at a time. Those marked "Collective" are made by
// all ranks in the same order. Each throws CommError when the deadline passes, when a peer
// aborted, or after cancel().
class Communicator {
 public:
  virtual ~Communicator() = default;  // never communicates

  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual const std::string& name() const = 0;  // the kind: "single", "threads", "mpi", "tcp"

  // Collective.
  virtual void barrier(const std::string& what) = 0;
  // Collective. `bytes` is the same on all ranks; `data` is written on all but `root`.
  virtual void broadcast(void* data, size_t bytes, int root, const std::string& what) = 0;
  // Collective. `all` has room for size() × `bytes`, in rank order.
  virtual void all_gather(const void* mine, void* all, size_t bytes, const std::string& what) = 0;
  // Collective. In place. The order of additions is the library's own and may differ between
  // runs; for equal bits use TreeReduction.
  virtual void all_reduce(float* data, size_t count, const std::string& what) = 0;

  // Matching calls on both ranks, in the same order; sizes must agree.
  virtual void send(int peer, const void* data, size_t bytes, const std::string& what) = 0;
  virtual void receive(int peer, void* data, size_t bytes, const std::string& what) = 0;
  // Both directions at once.
  virtual void exchange(int peer, const void* out, size_t out_bytes, void* in, size_t in_bytes,
                        const std::string& what) = 0;

  // From now on every call has at most so many seconds: for a last look at who is still there.
  virtual void limit_waits(double seconds) {}

  // From any thread: the call in progress and all later ones on this rank throw CommError. For
  // unwinding after an error; says nothing to the peers.
  virtual void cancel() noexcept = 0;
  // Ends the run on all ranks at once with exit code `code`. Under MPI it does not return.
  virtual void abort(int code) noexcept = 0;
  // Collective: leaves in good order (MPI_Finalize). No other call may follow.
  virtual void close() {}
};

// Collective. Strings of any length from all ranks, in rank order.
std::vector<std::string> all_gather_strings(Communicator& comm, const std::string& mine,
                                            const std::string& what);

// "rank 2 did not arrive at 'barrier' within 5 s (rank 0 waited)". `late` empty: all ranks wait,
// `elsewhere` says for what.
CommError late_error(const std::string& what, int me, double seconds, const std::vector<int>& late,
                     const std::string& elsewhere = "");

}  // namespace lockstep
