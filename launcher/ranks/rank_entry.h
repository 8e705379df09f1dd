// `lockstep as-rank PIPE LOGS PROGRAM ARGS...`: what mpirun starts. It makes the process safe
// to leave alone, then becomes the worker:
//   - dies with its parent, so that a killed mpirun leaves no rank behind,
//   - ignores Ctrl-C and early requests to stop (the worker installs its own handlers later),
//   - rank 0's stderr goes to PIPE (a named pipe or a terminal), which the launcher reads, so that
//     mpirun's own messages stay apart from those of the training,
//   - the other ranks' stderr goes to LOGS/rank-R.log, so that even the words of a crash in the
//     dynamic linker are kept.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

// Returns only if PROGRAM cannot be started (the exit code).
int run_as_rank(const std::vector<std::string>& words);

// The rank that a launcher gave this process, 0 if none did.
int rank_from_environment();

// `lockstep as-torch-rank PROGRAM ARGS...`: what mpirun and srun start for `lockstep launch`.
// Becomes PROGRAM with RANK, WORLD_SIZE, LOCAL_RANK and so on as torchrun has them, from theirs.
int run_as_torch_rank(const std::vector<std::string>& words);

}  // namespace lockstep
