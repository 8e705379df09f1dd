// The signals of the launcher, read like a file.
//
// While a SignalWatch lives, SIGINT, SIGTERM, SIGUSR1, SIGHUP and SIGCHLD are blocked and
// arrive through a descriptor, so the supervisor's loop meets them at a place of its choosing.
// Children get the default mask back (ChildProcess).
#pragma once

#include <string>

#include <signal.h>

namespace lockstep {

class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  int descriptor() const { return descriptor_; }
  // Takes in what arrived since the last call.
  void read_pending();

  // Someone asked to stop: any of SIGINT, SIGTERM, SIGUSR1, SIGHUP.
  bool stop_requested() const { return first_ != 0; }
  // Ctrl-C twice: end at once.
  bool end_at_once() const { return interrupts_ >= 2; }
  // The signal that asked first, 0 if none.
  int first() const { return first_; }

 private:
  int descriptor_ = -1;
  int interrupts_ = 0;
  int first_ = 0;
  sigset_t old_mask_;
};

}  // namespace lockstep
