// Waiting for MPI without burning the core that a slot thread needs.
//
// Spins shortly, since most exchanges end within microseconds, then naps, longer and longer.
#pragma once

#include <chrono>

namespace lockstep {

class MpiWait {
 public:
  MpiWait();
  // Between two polls.
  void pause();
  double seconds() const;

 private:
  std::chrono::steady_clock::time_point start_;
};

}  // namespace lockstep
