// env.json: on what a run was made, for bug reports and for comparing two runs.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

// JSON text: versions, host, processor, memory, instruction sets, mpirun, the command line.
// `mpirun` may be "".
std::string environment_facts(const std::string& mpirun,
                              const std::vector<std::string>& command_line);

}  // namespace lockstep
