#include "launcher/ranks/run_lock.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>

#include <unistd.h>

#include "core/errors.h"
#include "launcher/ranks/rank_watch.h"

namespace lockstep {
namespace {

struct Holder {
  long pid = 0;
  std::string host;
};

std::string this_host() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

Holder read_holder(const RunFolder& run) {
  Holder holder;
  std::ifstream file(run.lock());
  file >> holder.pid >> holder.host;
  return holder;
}

bool is_dead(const Holder& holder) {
  return holder.pid > 0 && holder.host == this_host() &&
         kill(static_cast<pid_t>(holder.pid), 0) != 0 && errno == ESRCH;
}

}  // namespace

std::unique_ptr<FileLock> lock_run(const RunFolder& run, double patience_seconds) {
  const double end = monotonic_seconds() + patience_seconds;
  for (;;) {
    try {
      return run.take_lock("");
    } catch (const LockedError&) {
      const Holder holder = read_holder(run);
      if (!is_dead(holder) || monotonic_seconds() > end) {
        const std::string who =
            holder.pid > 0 ? " (process " + std::to_string(holder.pid) + " on " + holder.host + ")"
                           : "";
        throw LockedError("another run holds " + run.root.string() + who,
                          "wait for it, or stop it: `kill -TERM " +
                              (holder.pid > 0 ? std::to_string(holder.pid) : "PID") +
                              "` makes it save and end");
      }
      usleep(100'000);
    }
  }
}

bool is_locked(const RunFolder& run) {
  std::error_code missing;
  if (!fs::exists(run.lock(), missing)) return false;
  try {
    FileLock lock(run.lock(), "");
    return false;
  } catch (const LockedError&) {
    return true;
  }
}

}  // namespace lockstep
