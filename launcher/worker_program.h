// The other program: `lockstep-worker`, which holds torch and does the work.
#pragma once

#include <string>
#include <vector>

#include "launcher/ranks/launch_plan.h"
#include "launcher/ranks/signal_watch.h"

namespace lockstep {

// Path of this program.
std::string launcher_path();
// lockstep-worker beside this program, or what LOCKSTEP_WORKER names. Throws EnvironmentError.
std::string worker_path();

// Becomes the worker: does not return. Throws EnvironmentError.
[[noreturn]] void exec_worker(const std::vector<std::string>& arguments);

struct WorkerAnswer {
  int code = 0;           // 0, or the exit code; the message is on stderr already
  std::string last_line;  // of stdout
};

// Runs the worker, reads its stdout, leaves stderr to it. A signal that `signals` (may be null)
// catches meanwhile ends the worker.
WorkerAnswer ask_worker(const std::vector<std::string>& arguments, SignalWatch* signals);

}  // namespace lockstep
