#include "launcher/train_command.h"

#include <csignal>
#include <cstdio>

#include "core/errors.h"
#include "core/files.h"
#include "launcher/command_line.h"
#include "launcher/console.h"
#include "launcher/environment_facts.h"
#include "launcher/run_lock.h"
#include "launcher/supervisor.h"
#include "launcher/worker_program.h"
#include "report/report.h"

namespace lockstep {
namespace {

// Asks the worker for the plan; its exit code in `code` if it has none.
std::optional<LaunchPlan> ask_for_plan(const TrainFlags& flags, bool resume, SignalWatch& signals, int& code) {
  std::vector<std::string> words{"plan", flags.target};
  words.insert(words.end(), flags.overrides.begin(), flags.overrides.end());
  words.push_back(resume ? "--resume" : "--prepare");
  const auto add = [&](const char* flag, const std::string& value) { words.insert(words.end(), {flag, value}); };
  if (!flags.run_folder.empty()) add("--run-folder", flags.run_folder);
  if (flags.dry_run_steps > 0) add("--dry-run", std::to_string(flags.dry_run_steps));
  if (flags.ranks) add("--ranks", std::to_string(*flags.ranks));
  const WorkerAnswer answer = ask_worker(words, &signals);
  if (signals.stop_requested()) {
    // One Ctrl-C is a request like SIGTERM: nothing is lost, so it ends as every other stop.
    std::fputs(resume ? "stopped before the run went on: it is as it was\n"
                      : "stopped before the run began: nothing was started, nothing is lost\n", stderr);
    code = static_cast<int>(signals.end_at_once() ? ExitCode::kInterrupted : ExitCode::kStopped);
    return std::nullopt;
  }
  code = answer.code;
  if (code > 128) throw InternalError("lockstep-worker died of " + signal_name(code - 128) + " while it made the plan");
  if (code != 0) return std::nullopt;
  return parse_launch_plan(answer.last_line);
}

RunFolder make_run_folder(const TrainFlags& flags, const LaunchPlan& plan) {
  if (flags.run_folder.empty()) return RunFolder::make_new(plan.folder, plan.name);
  make_folders(flags.run_folder);
  return {flags.run_folder};
}

void refuse_run(const RunFolder& run) {
  if (!run.holds_run()) return;
  throw ConfigError(run.root.string() + " holds a run already",
                    "go on with it by `lockstep resume " + run.root.string() + "`, or name another --run-folder");
}

// The plan last: from then on the folder holds a run.
void write_run_files(const RunFolder& run, const LaunchPlan& plan) {
  write_file_atomic(run.config(), plan.config_yaml);
  write_file_atomic(run.plan(), plan.json);
}

void say_how_it_ended(const RunFolder& run, ExitCode code, Console& console) {
  const RunStatus status = read_status(run);
  if (code == ExitCode::kStopped && status.checkpoint.empty()) {
    console.line("stopped before the first checkpoint; start again: lockstep resume " + run.root.string());
  } else if (code == ExitCode::kStopped) {
    console.line("stopped at step " + std::to_string(status.step) + ", saved as " + status.checkpoint +
                 "; go on: lockstep resume " + run.root.string());
  } else if (code == ExitCode::kInterrupted) {
    console.line("ended at once; newest checkpoint: " + (status.checkpoint.empty() ? "none" : status.checkpoint) +
                 "; go on: lockstep resume " + run.root.string());
  } else if (code == ExitCode::kRanks) {
    console.line("help: `lockstep logs " + run.root.string() + "` shows the log of the rank that failed; go on: lockstep resume " +
                 run.root.string());
  }
}

// The run's outcome does not hang on its pictures: a full disk here is a warning.
void draw_report(const RunFolder& run, ExitCode code, Console& console) {
  try {
    write_report(run);
    write_tensorboard(run);
    std::string summary = code == ExitCode::kDone ? closing_summary(run) : "";
    if (!summary.empty() && summary.back() == '\n') summary.pop_back();
    if (!summary.empty()) console.line(summary);
  } catch (const Error& error) {
    console.line("warning: no report: " + std::string(error.what()));
  }
}

int supervise(const RunFolder& run, const LaunchPlan& plan, const StartChoice& start, const TrainFlags& flags,
              SignalWatch& signals) {
  Console console;
  console.line("run folder " + run.root.string() + "; starting with " + start.why);
  SuperviseOptions options{run, plan, start, {launcher_path(), worker_path()}, next_attempt(run), flags.dry_run_steps};
  const ExitCode code = Supervisor(std::move(options), signals, console).run();
  draw_report(run, code, console);
  say_how_it_ended(run, code, console);
  std::printf("run folder: %s\n", run.root.c_str());
  return static_cast<int>(code);
}

std::vector<std::string> command_words(const char* command, const std::vector<std::string>& arguments) {
  std::vector<std::string> words{"lockstep", command};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

// A launcher of the user's own made us a rank: become the worker.
[[noreturn]] void train_as_rank(const TrainFlags& flags, const Variables& variables) {
  const auto world = variables.find("WORLD_SIZE");
  if (variables.count("OMPI_COMM_WORLD_RANK") + variables.count("PMIX_RANK") + variables.count("LOCKSTEP_RANK") == 0 &&
      world != variables.end() && world->second != "1") {
    throw EnvironmentError("RANK and WORLD_SIZE=" + world->second + " are set: ranks of torchrun's kind need a rendezvous "
                           "which this version does not have",
                           "run `lockstep train CONFIG --nproc-per-node N` without torchrun, or use mpirun");
  }
  std::vector<std::string> words{"train", flags.target};
  words.insert(words.end(), flags.overrides.begin(), flags.overrides.end());
  if (!flags.run_folder.empty()) words.insert(words.end(), {"--run-folder", flags.run_folder});
  if (flags.dry_run_steps > 0) words.insert(words.end(), {"--dry-run", std::to_string(flags.dry_run_steps)});
  exec_worker(words);
}

}  // namespace

int train_command(const std::vector<std::string>& arguments) {
  const TrainFlags flags = read_train_flags("train", arguments);
  const Variables variables = current_variables();
  if (is_rank(variables)) train_as_rank(flags, variables);
  if (!flags.run_folder.empty()) refuse_run({flags.run_folder});
  SignalWatch signals;
  int code = 0;
  const auto plan = ask_for_plan(flags, false, signals, code);
  if (!plan) return code;
  const std::string mpirun = find_mpirun(variables);
  const StartChoice start = choose_start(*plan, variables, mpirun);
  const RunFolder run = make_run_folder(flags, *plan);
  const auto lock = lock_run(run);
  refuse_run(run);  // another launcher may have been quicker
  write_file_atomic(run.environment(), environment_facts(mpirun, command_words("train", arguments)));
  write_run_files(run, *plan);
  return supervise(run, *plan, start, flags, signals);
}

int resume_command(const std::vector<std::string>& arguments) {
  TrainFlags flags = read_train_flags("resume", arguments);
  const Variables variables = current_variables();
  if (is_rank(variables)) {
    throw ConfigError("resume starts its ranks itself, but a launcher made this process a rank",
                      "run `lockstep resume " + flags.target + " --ranks N` without mpirun or srun");
  }
  const RunFolder run = RunFolder::find(flags.target);
  flags.target = run.root.string();
  const auto lock = lock_run(run);
  SignalWatch signals;
  int code = 0;
  const auto plan = ask_for_plan(flags, true, signals, code);
  if (!plan) return code;
  const std::string mpirun = find_mpirun(variables);
  const StartChoice start = choose_start(*plan, variables, mpirun);
  const RunStatus status = read_status(run);
  if (status.state == "done" && status.step >= plan->steps && flags.dry_run_steps == 0) {
    std::fprintf(stderr, "this run is done: step %lld of %lld\n", static_cast<long long>(status.step),
                 static_cast<long long>(plan->steps));
    std::printf("run folder: %s\n", run.root.c_str());
    return 0;
  }
  write_file_atomic(run.environment(), environment_facts(mpirun, command_words("resume", arguments)));
  write_run_files(run, *plan);
  return supervise(run, *plan, start, flags, signals);
}

}  // namespace lockstep
