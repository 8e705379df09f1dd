#include "ddp/mpi/mpi_wait.h"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>

namespace lockstep {

namespace {

constexpr double kSpinSeconds = 100e-6;
constexpr double kShortestNap = 20e-6, kLongestNap = 1e-3;
constexpr double kNapShare = 0.1;  // a nap lasts this share of the time waited so far

}  // namespace

MpiWait::MpiWait() : start_(std::chrono::steady_clock::now()) {
  // Linux rounds naps up by 50 µs unless asked not to; per thread.
  thread_local const int set = prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
  (void)set;
}

double MpiWait::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void MpiWait::pause() {
  const double waited = seconds();
  if (waited < kSpinSeconds) {
    sched_yield();  // lets a slot thread of this core go first
    return;
  }
  const double nap = std::clamp(waited * kNapShare, kShortestNap, kLongestNap);
  const timespec time{0, static_cast<long>(nap * 1e9)};
  nanosleep(&time, nullptr);
}

}  // namespace lockstep
