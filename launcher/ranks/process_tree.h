// Leaves no process behind.
//
// The launcher is a child subreaper: a process whose parent died becomes its child, whatever
// session or process group it made for itself. So everything that a run ever started is a
// descendant, and can be found and killed.
#pragma once

#include <vector>

#include <sys/types.h>

namespace lockstep {

// Makes this process the subreaper of its descendants.
void adopt_orphans();

// All descendants of `root`, children before grandchildren; zombies are left out.
std::vector<pid_t> descendants(pid_t root);

// Kills (SIGKILL) and reaps all descendants of this process; waits up to `limit_seconds` for
// them to be gone. False if some are left (a process in an uninterruptible system call).
bool kill_descendants(double limit_seconds = 10);

}  // namespace lockstep
