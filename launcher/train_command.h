// `lockstep train CONFIG` and `lockstep resume RUN`: the whole run, from the check of the config
// to the report.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

// Both return the exit code, after `run folder: PATH` as the last line on stdout if there is a
// run folder. They throw what went wrong before the ranks were started.
int train_command(const std::vector<std::string>& arguments);
int resume_command(const std::vector<std::string>& arguments);

}  // namespace lockstep
