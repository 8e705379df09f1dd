#include "launcher/ranks/signal_watch.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <sys/signalfd.h>
#include <unistd.h>

#include "core/errors.h"

namespace lockstep {

SignalWatch::SignalWatch() {
  sigset_t mask;
  sigemptyset(&mask);
  for (int number : {SIGINT, SIGTERM, SIGUSR1, SIGHUP, SIGCHLD}) sigaddset(&mask, number);
  sigprocmask(SIG_BLOCK, &mask, &old_mask_);
  std::signal(SIGPIPE, SIG_IGN);  // a reader of our output that left is no reason to stop
  descriptor_ = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
  if (descriptor_ < 0)
    throw EnvironmentError(std::string("cannot watch signals: ") + std::strerror(errno));
}

SignalWatch::~SignalWatch() {
  read_pending();  // a second Ctrl-C while the report was written must not kill us now
  close(descriptor_);
  sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
}

void SignalWatch::read_pending() {
  signalfd_siginfo info;
  while (read(descriptor_, &info, sizeof info) == sizeof info) {
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGCHLD) continue;
    if (first_ == 0) first_ = number;
    if (number == SIGINT) ++interrupts_;
  }
}

}  // namespace lockstep
