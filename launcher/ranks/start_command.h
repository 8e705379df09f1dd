// How the ranks are started, and with which command line (design.md 7).
//
// Everything here is a pure function of the plan, the environment and where mpirun lies, so
// that a test can ask for any machine.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "launcher/nodes/job_node.h"
#include "launcher/ranks/child_process.h"
#include "launcher/ranks/launch_plan.h"

namespace lockstep {

using Variables = std::map<std::string, std::string>;
Variables current_variables();

// True if a launcher made this process a rank: it must not start ranks again.
bool is_rank(const Variables& variables);

enum class StartWay { kMpirun, kSrun, kLocal, kDirect };

struct StartChoice {
  StartWay way = StartWay::kDirect;
  std::string why;     // one line for people: "mpirun, since there are 2 ranks"
  std::string mpirun;  // its path, if `way` needs it
};

// The mpirun to use: LOCKSTEP_MPIRUN, else OPAL_PREFIX/bin, else PATH, else the one that was
// there when Lockstep was built. "" if there is none.
std::string find_mpirun(const Variables& variables);

// `is_node`: --node-rank and the like were given, so every node starts its own ranks. Throws
// EnvironmentError if the plan needs what is not there, ConfigError if it asks for what this
// version cannot do.
StartChoice choose_start(const LaunchPlan& plan, const Variables& variables,
                         const std::string& mpirun, bool is_node = false);

// What one attempt needs to be started.
struct AttemptFiles {
  std::filesystem::path run;      // run folder
  std::filesystem::path logs;     // logs/attempt-N
  std::filesystem::path scratch;  // temporary folder
  std::filesystem::path pipe;     // where rank 0 writes what it tells people
  int number = 0;
  int64_t dry_run_steps = 0;  // 0: a whole run
  bool tell_nodes = false;    // ranks on other nodes ask for the folder
};

struct Programs {
  std::string launcher;  // this program
  std::string worker;
};

// The command that starts all ranks of an attempt, unless the way is kLocal.
Command start_command(const StartChoice& choice, const LaunchPlan& plan, const AttemptFiles& files,
                      const Programs& programs);

// The commands of kLocal, one a rank of this node. `master`: where rank 0 will listen.
std::vector<Command> local_commands(const JobNode& node, const AttemptFiles& files,
                                    const Programs& programs, int master);

// mpirun's or srun's words in front of any program (`lockstep launch`). `scratch`: for mpirun's
// files.
std::vector<std::string> starter_words(const StartChoice& choice, const LaunchPlan& plan,
                                       const std::filesystem::path& scratch);

// One thread a rank computes for each slot; libraries must neither add their own nor spin.
std::vector<std::pair<std::string, std::string>> rank_environment();

// What mpirun wants to be told if we are root.
std::vector<std::pair<std::string, std::string>> starter_variables(const StartChoice& choice);

// False where the kernel or a container forbids one process to read another's memory, which
// Open MPI's shared memory transport would use for large messages.
bool cross_memory_attach_works();

}  // namespace lockstep
