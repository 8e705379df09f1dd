// What the launcher knows of a run: the plan that `lockstep-worker plan` prints as one JSON line.
//
// The launcher never reads the config itself; everything it needs is here, and the rest of the
// JSON goes to plan.json unread.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

struct LaunchPlan {
  std::string name;           // run.name
  std::string folder;         // parent folder of new runs
  std::string run_folder;     // of a resumed run, else ""
  std::string with = "auto";  // auto | mpirun | srun | local | env
  std::string device = "cpu";
  std::string config_hash;
  std::string config_yaml;  // text of config.yaml
  std::string explain;      // text for people
  std::string json;         // all of it except config_yaml and explain: text of plan.json
  int64_t nodes = 1;
  int64_t ranks = 1;
  int64_t ranks_per_node = 1;
  int64_t threads_per_rank = 1;
  int64_t steps = 0;
  int64_t max_restarts = 0;
  double timeout_seconds = 600;  // a rank silent for longer hangs
};

// `line` is the worker's last line of stdout. Throws InternalError if it is no plan.
LaunchPlan parse_launch_plan(const std::string& line);

}  // namespace lockstep
