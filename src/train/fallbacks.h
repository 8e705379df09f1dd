// What a config asks for by `auto` or by a number format, and this machine does without: said once at the
// start, so that nobody waits for a speed that is not there. What cannot be done at all (`step.graph: on`
// on a CPU) is an error instead (run_plan.cc).
#pragma once

#include <string>
#include <vector>

#include "train/run_config.h"
#include "train/run_plan.h"

namespace lockstep {

// One text a switch that the config file or the command line names; keys left at their default say
// nothing. With log.style seed in the seed's words.
std::vector<std::string> fallbacks(const LoadedConfig& loaded, const RunPlan& plan);

}  // namespace lockstep
