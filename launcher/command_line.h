// Flags of the launcher's own commands. The only place (with its .cc) that knows the parser.
//
// Dashes and underscores in flag names are the same, as torchrun's users expect.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launcher/nodes/job_node.h"

namespace lockstep {

// `train CONFIG …` and `resume RUN …`.
struct TrainFlags {
  std::string target;                  // CONFIG or RUN
  std::vector<std::string> overrides;  // key=value …; torchrun's flags become overrides, too
  std::optional<int64_t> ranks;
  int64_t dry_run_steps = 0;    // 0: a whole run
  std::string run_folder;       // "" = a new one below run.folder
  std::optional<JobNode> node;  // one of several nodes, each with its own launcher
  std::string log_link;         // --log-dir: a folder that gets a link to the run's logs
};
// Throws ConfigError. `command` is "train" or "resume".
TrainFlags read_train_flags(const std::string& command, const std::vector<std::string>& arguments);

// `sweep SWEEP …`.
struct SweepFlags {
  std::string target;
  std::vector<std::string> overrides;  // for all points
  std::optional<int64_t> at_once;
  std::string folder;  // "" = as the file says
  bool print = false;  // list the points only
};
SweepFlags read_sweep_flags(const std::vector<std::string>& arguments);

// `launch [flags] -- PROGRAM …`.
struct LaunchFlags {
  JobNode node;
  std::string with = "auto";  // auto | local | mpirun | srun
  std::string log_folder;
  int redirects = 0;
  std::vector<std::string> program;
};
// Throws ConfigError. The program begins behind `--`, or at the first word that is no flag.
LaunchFlags read_launch_flags(const std::vector<std::string>& arguments);

struct ReportFlags {
  std::vector<std::string> runs;
  std::string output;  // "" = RUN/report.html
};
ReportFlags read_report_flags(const std::vector<std::string>& arguments);

struct RunsFlags {
  std::string folder = "runs";
  std::string sort;  // a column or a score; "" = by name
  bool json = false;
};
RunsFlags read_runs_flags(const std::vector<std::string>& arguments);

struct LogsFlags {
  std::string run;
  std::optional<int64_t> rank;     // none: the rank that failed first, else rank 0
  std::optional<int64_t> attempt;  // none: the last one
  int64_t lines = 0;               // 0: all
  bool follow = false;             // shows new lines until the run ends
};
LogsFlags read_logs_flags(const std::vector<std::string>& arguments);

// `--nproc_per_node=2` → `--nproc-per-node=2`; what follows `=` stays.
std::vector<std::string> with_dashes(const std::vector<std::string>& arguments);

}  // namespace lockstep
