#include "core/stop_flag.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "core/errors.h"

namespace lockstep {
namespace {

std::atomic<bool> stop{false};
std::atomic<int> interrupts{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

extern "C" void on_stop_signal(int signal) {
  if (signal == SIGINT && interrupts.fetch_add(1) > 0)
    ::_exit(static_cast<int>(ExitCode::kInterrupted));
  stop.store(true);
}

void install(int signal, void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void install_stop_handlers(bool ignore_interrupt) {
  install(SIGTERM, on_stop_signal);
  install(SIGUSR1, on_stop_signal);
  install(SIGINT, ignore_interrupt ? SIG_IGN : on_stop_signal);
}

bool stop_requested() { return stop.load(); }

}  // namespace lockstep
