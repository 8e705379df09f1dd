#include "launcher/ranks/start_command.h"

#include <algorithm>
#include <cstdlib>

#include <sys/uio.h>
#include <unistd.h>

#include "core/errors.h"
#include "core/rank_environment.h"

extern char** environ;

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string value_of(const Variables& variables, const std::string& name) {
  const auto found = variables.find(name);
  return found == variables.end() ? "" : found->second;
}

bool is_program(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && access(path.c_str(), X_OK) == 0;
}

std::string find_in_path(const std::string& path, const std::vector<std::string>& names) {
  size_t start = 0;
  while (start <= path.size()) {
    const size_t end = std::min(path.find(':', start), path.size());
    const fs::path folder = path.substr(start, end - start);
    for (const std::string& name : names) {
      if (!folder.empty() && is_program(folder / name)) return (folder / name).string();
    }
    start = end + 1;
  }
  return "";
}

const std::vector<std::string> kMpirunNames{"mpirun", "mpirun.openmpi", "orterun"};

std::vector<std::string> rank_words(const AttemptFiles& files, const Programs& programs) {
  std::vector<std::string> words{programs.launcher,   "as-rank",
                                 files.pipe.string(), files.logs.string(),
                                 programs.worker,     "train",
                                 "--run-folder",      files.run.string(),
                                 "--attempt",         std::to_string(files.number)};
  if (files.dry_run_steps > 0) {
    words.push_back("--dry-run");
    words.push_back(std::to_string(files.dry_run_steps));
  }
  if (files.tell_nodes) words.push_back("--tell-nodes");
  return words;
}

// Open MPI's settings for ranks on this machine alone. No daemon, no network, no host file: a
// cluster's defaults must not move a local run elsewhere.
std::vector<std::string> mpirun_words(const LaunchPlan& plan, const std::filesystem::path& folder,
                                      const std::string& mpirun) {
  const std::string count = std::to_string(plan.ranks);
  const std::string scratch = folder.string();
  std::vector<std::string> words{mpirun,      "-n",  count, "--host", "localhost:" + count,
                                 "--bind-to", "none"};
  const auto set = [&](const char* name, const std::string& value) {
    words.insert(words.end(), {"--mca", name, value});
  };
  set("plm", "isolated");
  set("oob_tcp_if_include", "lo");
  set("orte_tmpdir_base", scratch);
  set("odls_base_sigkill_timeout", "1");
  set("pml", "ob1");
  set("btl", "self,vader");
  set("btl_vader_backing_directory", scratch);
  if (!cross_memory_attach_works()) set("btl_vader_single_copy_mechanism", "none");
  // A waiting rank gives its core away instead of spinning. On idle cores that costs nothing
  // measurable; with other work on the machine exchanges of 4 MiB were 10 times faster.
  set("mpi_yield_when_idle", "1");
  for (const auto& [name, value] : rank_environment()) words.insert(words.end(), {"-x", name});
  return words;
}

std::vector<std::string> srun_words(const LaunchPlan& plan) {
  return {"srun",
          "--mpi=pmix",
          "--nodes=" + std::to_string(plan.nodes),
          "--ntasks=" + std::to_string(plan.ranks),
          "--ntasks-per-node=" + std::to_string(plan.ranks_per_node),
          "--cpus-per-task=" + std::to_string(plan.threads_per_rank),
          "--kill-on-bad-exit=1",
          "--input=none"};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> rank_environment() {
  return {{"OMP_NUM_THREADS", "1"},       {"MKL_NUM_THREADS", "1"}, {"OPENBLAS_NUM_THREADS", "1"},
          {"OMP_WAIT_POLICY", "passive"}, {"GOMP_SPINCOUNT", "0"},  {"KMP_BLOCKTIME", "0"}};
}

Variables current_variables() {
  Variables variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return variables;
}

bool is_rank(const Variables& variables) {
  return read_rank_environment([&](const char* name) -> const char* {
           const auto found = variables.find(name);
           return found == variables.end() ? nullptr : found->second.c_str();
         })
      .is_rank();
}

std::string find_mpirun(const Variables& variables) {
  const std::string named = value_of(variables, "LOCKSTEP_MPIRUN");
  if (!named.empty())
    return is_program(named) ? named : find_in_path(value_of(variables, "PATH"), {named});
  const std::string prefix = value_of(variables, "OPAL_PREFIX");
  if (!prefix.empty()) {
    const std::string found = find_in_path(prefix + "/bin", kMpirunNames);
    if (!found.empty()) return found;
  }
  const std::string found = find_in_path(value_of(variables, "PATH"), kMpirunNames);
  if (!found.empty()) return found;
  return is_program(LOCKSTEP_BUILT_WITH_MPIRUN) ? LOCKSTEP_BUILT_WITH_MPIRUN : "";
}

StartChoice choose_start(const LaunchPlan& plan, const Variables& variables,
                         const std::string& mpirun, bool is_node) {
  const std::string ranks = plan.ranks == 1 ? "1 rank" : std::to_string(plan.ranks) + " ranks";
  const bool in_slurm = variables.count("SLURM_JOB_ID") > 0;
  if (plan.with == "env") {
    throw ConfigError("launch.with is env, but no launcher made this process a rank",
                      "start it with torchrun or as `mpirun -n N lockstep train CONFIG`, or set "
                      "launch.with=auto");
  }
  if (is_node)
    return {StartWay::kLocal,
            "local processes, since this is one of " + std::to_string(plan.nodes) + " nodes", ""};
  if (plan.nodes > 1 && (!in_slurm || plan.with == "local")) {
    throw ConfigError(
        "launch.nodes is " + std::to_string(plan.nodes) + ", and nothing says how to reach them",
        "run the same command on every node with --nnodes N --node-rank R --master-addr A "
        "--nproc-per-node M, or "
        "`mpirun --hostfile HOSTS -n N lockstep train CONFIG`, both over a shared folder; or use a "
        "Slurm job");
  }
  if (plan.with == "srun" || (plan.with == "auto" && in_slurm)) {
    return {StartWay::kSrun,
            "srun, since " + std::string(in_slurm ? "this is a Slurm job" : "launch.with says so"),
            ""};
  }
  if (plan.with == "local" && plan.ranks > 1)
    return {StartWay::kLocal, "local processes, since launch.with says so", ""};
  if (plan.with == "mpirun" && mpirun.empty()) {
    throw EnvironmentError(
        "mpirun was not found, and launch.with is mpirun",
        "run scripts/setup (or install openmpi-bin), name it in LOCKSTEP_MPIRUN, or set "
        "launch.with=local: the weights will be the same");
  }
  if (plan.with == "mpirun" || (plan.ranks > 1 && !mpirun.empty())) {
    return {
        StartWay::kMpirun,
        "mpirun, since " + (plan.with == "mpirun" ? "launch.with says so" : "there are " + ranks),
        mpirun};
  }
  if (plan.ranks > 1)
    return {StartWay::kLocal, "local processes, since there are " + ranks + " and no mpirun", ""};
  return {StartWay::kDirect, "no launcher, since there is 1 rank", ""};
}

std::vector<std::string> starter_words(const StartChoice& choice, const LaunchPlan& plan,
                                       const fs::path& scratch) {
  return choice.way == StartWay::kSrun ? srun_words(plan)
                                       : mpirun_words(plan, scratch, choice.mpirun);
}

std::vector<std::pair<std::string, std::string>> starter_variables(const StartChoice& choice) {
  if (choice.way != StartWay::kMpirun || geteuid() != 0) return {};
  return {{"OMPI_ALLOW_RUN_AS_ROOT", "1"}, {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}};
}

bool cross_memory_attach_works() {
  char from = 1, to = 0;
  const iovec local{&to, 1}, remote{&from, 1};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

Command start_command(const StartChoice& choice, const LaunchPlan& plan, const AttemptFiles& files,
                      const Programs& programs) {
  Command command;
  command.environment = rank_environment();
  const auto add_rank = [&] {
    for (const std::string& word : rank_words(files, programs)) command.words.push_back(word);
  };
  switch (choice.way) {
    case StartWay::kDirect:
      command.environment.emplace_back("LOCKSTEP_RANK", "0");
      command.environment.emplace_back("LOCKSTEP_WORLD_SIZE", "1");
      break;
    case StartWay::kLocal:
      throw InternalError("local ranks have a command each");
    case StartWay::kSrun:
    case StartWay::kMpirun:
      command.words = starter_words(choice, plan, files.scratch);
      break;
  }
  for (auto& variable : starter_variables(choice))
    command.environment.push_back(std::move(variable));
  add_rank();
  return command;
}

std::vector<Command> local_commands(const JobNode& node, const AttemptFiles& files,
                                    const Programs& programs, int master) {
  std::vector<Command> commands;
  for (int64_t local = 0; local < node.ranks_per_node; ++local) {
    Command command{rank_words(files, programs), rank_environment()};
    for (auto& variable : rank_variables(node, local, master))
      command.environment.push_back(std::move(variable));
    command.environment.emplace_back("LOCKSTEP_RANK", std::to_string(node.first_rank() + local));
    command.environment.emplace_back("LOCKSTEP_WORLD_SIZE", std::to_string(node.ranks()));
    commands.push_back(std::move(command));
  }
  return commands;
}

}  // namespace lockstep
