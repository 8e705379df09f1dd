// Ranks as threads of one process: distributed logic that runs in a debugger and under TSan.
//
// The ranks meet in one shared object behind one mutex. That is slow and simple on purpose; who
// is late is known exactly. Also finds calls that do not match between ranks.
#pragma once

#include <memory>

#include "ddp/communicator.h"

namespace lockstep {

class ThreadRendezvous {
 public:
  ThreadRendezvous(int size, double timeout_seconds);
  ~ThreadRendezvous();  // after all its communicators
  int size() const;
  // The communicator of one rank; each rank is taken once.
  std::unique_ptr<Communicator> communicator(int rank);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
