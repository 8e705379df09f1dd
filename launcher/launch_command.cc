// `lockstep launch [flags] -- PROGRAM …`: torchrun's job for any program, through local processes,
// mpirun or srun.
#include <cstdlib>
#include <optional>

#include <unistd.h>

#include "core/errors.h"
#include "launcher/command_line.h"
#include "launcher/commands.h"
#include "launcher/program_job.h"
#include "launcher/ranks/scratch_folder.h"
#include "launcher/ranks/start_command.h"
#include "launcher/worker_program.h"

namespace lockstep {
namespace {

// Unlike a training, which is the same under all of them, a program may know MPI or not: mpirun
// only if it is asked for.
StartChoice choose(const LaunchFlags& flags, const LaunchPlan& plan, const Variables& variables) {
  const bool in_slurm =
      variables.count("SLURM_JOB_ID") > 0 && variables.count("SLURM_STEP_ID") == 0;
  if (flags.with == "srun" || (flags.with == "auto" && in_slurm && flags.node.nodes == 1))
    return {StartWay::kSrun, "", ""};
  if (flags.with != "mpirun") return {StartWay::kLocal, "", ""};
  const std::string mpirun = find_mpirun(variables);
  if (mpirun.empty()) return choose_start(plan, variables, mpirun);  // says what is missing
  if (flags.node.nodes > 1)
    throw ConfigError("--with mpirun starts the ranks of this machine only",
                      "leave --nnodes out, or --with");
  return {StartWay::kMpirun, "", mpirun};
}

// The ranks of a Slurm step may be elsewhere, so they meet at this node's name.
std::string meeting_host() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

int launch_command(const std::vector<std::string>& arguments) {
  LaunchFlags flags = read_launch_flags(arguments);
  LaunchPlan plan;
  plan.with = flags.with;
  plan.nodes = flags.node.nodes;
  plan.ranks = plan.ranks_per_node = flags.node.ranks_per_node;
  const StartChoice choice = choose(flags, plan, current_variables());
  JobOptions job;
  job.node = flags.node;
  job.program = flags.program;
  job.log_folder = flags.log_folder;
  job.redirects = flags.redirects;
  if (choice.way == StartWay::kSrun && job.node.master_address == "127.0.0.1")
    job.node.master_address = meeting_host();
  // Only looked for: rank 0 of the program listens there itself.
  if (job.node.rank == 0) bind_master(job.node);
  std::optional<ScratchFolder> scratch;
  if (choice.way != StartWay::kLocal) {
    if (choice.way == StartWay::kMpirun) scratch.emplace();
    job.local = false;
    job.environment = starter_variables(choice);
    job.program = starter_words(choice, plan, scratch ? scratch->path() : "");
    if (choice.way == StartWay::kMpirun)
      for (auto& variable : rank_environment())
        job.environment.push_back(std::move(variable));  // mpirun passes them on
    if (choice.way == StartWay::kMpirun)
      for (const char* name : {"MASTER_ADDR", "MASTER_PORT"})
        job.program.insert(job.program.end(), {"-x", name});
    job.program.insert(job.program.end(), {launcher_path(), "as-torch-rank"});
    job.program.insert(job.program.end(), flags.program.begin(), flags.program.end());
  }
  SignalWatch signals;
  Console console;
  return run_job(std::move(job), signals, console);
}

}  // namespace lockstep
