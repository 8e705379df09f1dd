// Ranks of any program on this node, with torchrun's environment: `lockstep launch`, and the
// further nodes of `lockstep train --nnodes N`.
//
// Starts them, waits, starts all of them again when one fails (at most max_restarts times), and
// leaves no process behind. Ctrl-C, SIGTERM and SIGUSR1 are passed on once; who has not ended after
// 30 s, or at a second Ctrl-C, is killed.
#pragma once

#include <string>
#include <vector>

#include "launcher/nodes/job_node.h"
#include "launcher/ranks/console.h"
#include "launcher/ranks/signal_watch.h"

namespace lockstep {

struct JobOptions {
  JobNode node;
  std::vector<std::string> program;  // and its arguments
  bool is_worker = false;            // Lockstep's own: its exit codes say whether to start again
  bool local = true;                 // false: `program` is mpirun or srun, one process
  std::string log_folder;  // "" = none; else LOCAL_RANK/stdout.log and stderr.log below attempt_N
  std::vector<std::pair<std::string, std::string>> environment;  // set in addition
  int redirects = 0;  // torchrun's: 1 stdout, 2 stderr, 3 both into log_folder
};

// The exit code of the rank that failed first, 128 + its signal if it was killed, 0 if all is well.
// Throws EnvironmentError if the program cannot be started.
int run_job(JobOptions options, SignalWatch& signals, Console& console);

}  // namespace lockstep
