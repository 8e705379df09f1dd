#include "launcher/train_command.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "core/errors.h"
#include "core/files.h"
#include "launcher/command_line.h"
#include "launcher/environment_facts.h"
#include "launcher/program_job.h"
#include "launcher/ranks/console.h"
#include "launcher/ranks/run_lock.h"
#include "launcher/ranks/supervisor.h"
#include "launcher/worker_program.h"
#include "report/report.h"

namespace lockstep {
namespace {

// Asks the worker for the plan; its exit code in `code` if it has none.
std::optional<LaunchPlan> ask_for_plan(const TrainFlags& flags, bool resume, SignalWatch& signals,
                                       int& code) {
  std::vector<std::string> words{"plan", flags.target};
  words.insert(words.end(), flags.overrides.begin(), flags.overrides.end());
  words.push_back(resume ? "--resume" : "--prepare");
  const auto add = [&](const char* flag, const std::string& value) {
    words.insert(words.end(), {flag, value});
  };
  if (!flags.run_folder.empty()) add("--run-folder", flags.run_folder);
  if (flags.dry_run_steps > 0) add("--dry-run", std::to_string(flags.dry_run_steps));
  if (flags.ranks) add("--ranks", std::to_string(*flags.ranks));
  const WorkerAnswer answer = ask_worker(words, &signals);
  if (signals.stop_requested()) {
    // One Ctrl-C is a request like SIGTERM: nothing is lost, so it ends as every other stop.
    std::fputs(resume ? "stopped before the run went on: it is as it was\n"
                      : "stopped before the run began: nothing was started, nothing is lost\n",
               stderr);
    code = static_cast<int>(signals.end_at_once() ? ExitCode::kInterrupted : ExitCode::kStopped);
    return std::nullopt;
  }
  code = answer.code;
  if (code > 128)
    throw InternalError("lockstep-worker died of " + signal_name(code - 128) +
                        " while it made the plan");
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
  throw ConfigError(
      run.root.string() + " holds a run already",
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
    console.line("stopped before the first checkpoint; start again: lockstep resume " +
                 run.root.string());
  } else if (code == ExitCode::kStopped) {
    console.line("stopped at step " + std::to_string(status.step) + ", saved as " +
                 status.checkpoint + "; go on: lockstep resume " + run.root.string());
  } else if (code == ExitCode::kInterrupted) {
    console.line("ended at once; newest checkpoint: " +
                 (status.checkpoint.empty() ? "none" : status.checkpoint) +
                 "; go on: lockstep resume " + run.root.string());
  } else if (code == ExitCode::kRanks) {
    console.line("help: `lockstep logs " + run.root.string() +
                 "` shows the log of the rank that failed; go on: lockstep resume " +
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

std::vector<std::string> command_words(const char* command,
                                       const std::vector<std::string>& arguments) {
  std::vector<std::string> words{"lockstep", command};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

// What the worker needs to know as a rank that makes or joins the run itself.
std::vector<std::string> foreign_words(const TrainFlags& flags, bool resume) {
  std::vector<std::string> words{"train"};
  if (resume) words.push_back("--resume");
  words.push_back(flags.target);
  words.insert(words.end(), flags.overrides.begin(), flags.overrides.end());
  if (!flags.run_folder.empty()) words.insert(words.end(), {"--run-folder", flags.run_folder});
  if (flags.dry_run_steps > 0)
    words.insert(words.end(), {"--dry-run", std::to_string(flags.dry_run_steps)});
  return words;
}

// torchrun, a cluster or the user's own mpirun made us a rank: become the worker.
[[noreturn]] void train_as_rank(const TrainFlags& flags, bool resume) {
  // Found at the first torch call; the store's client warns of each attempt to connect.
  setenv("TORCH_CPP_LOG_LEVEL", "ERROR", 0);
  std::signal(SIGUSR1, SIG_IGN);  // asked to stop before there is anything to stop
  exec_worker(foreign_words(flags, resume));
}

// On nodes other than the first: its ranks join the run that rank 0 makes.
int train_on_further_node(const TrainFlags& flags, bool resume) {
  SignalWatch signals;
  Console console;
  JobOptions job;
  job.node = *flags.node;
  job.program = foreign_words(flags, resume);
  job.program.insert(job.program.begin(), worker_path());
  job.is_worker = true;
  return run_job(std::move(job), signals, console);
}

JobNode node_of(const TrainFlags& flags, const LaunchPlan& plan) {
  JobNode node = flags.node.value_or(JobNode{});
  if (!flags.node) {
    node.ranks_per_node = plan.ranks;
    node.secret = random_secret();
  }
  node.max_restarts = plan.max_restarts;
  return node;
}

// So that a port in use is found before anything is made.
void check_master(const TrainFlags& flags) {
  if (!flags.node) return;
  JobNode node = *flags.node;
  bind_master(node);
}

// torchrun's --log-dir: the logs stay in the run folder, and a link leads there.
void link_logs(const TrainFlags& flags, const RunFolder& run) {
  if (flags.log_link.empty()) return;
  make_folders(flags.log_link);
  const fs::path link = fs::path(flags.log_link) / (run.root.parent_path().filename().string() +
                                                    "-" + run.root.filename().string());
  std::error_code taken;
  fs::create_directory_symlink(fs::absolute(run.root / "logs"), link,
                               taken);  // the link of an earlier start will do
}

int supervise(const RunFolder& run, const LaunchPlan& plan, const StartChoice& start,
              const TrainFlags& flags, SignalWatch& signals) {
  Console console;
  console.line("run folder " + run.root.string() + "; starting with " + start.why);
  SuperviseOptions options{run,
                           plan,
                           start,
                           {launcher_path(), worker_path()},
                           run.next_attempt(),
                           flags.dry_run_steps,
                           node_of(flags, plan)};
  link_logs(flags, run);
  const ExitCode code = Supervisor(std::move(options), signals, console).run();
  run.remove_unfinished();  // a rank may have been killed while it wrote
  draw_report(run, code, console);
  say_how_it_ended(run, code, console);
  std::printf("run folder: %s\n", run.root.c_str());
  return static_cast<int>(code);
}

}  // namespace

int train_command(const std::vector<std::string>& arguments) {
  const TrainFlags flags = read_train_flags("train", arguments);
  const Variables variables = current_variables();
  if (is_rank(variables)) train_as_rank(flags, false);
  if (flags.node && flags.node->rank > 0) return train_on_further_node(flags, false);
  if (!flags.run_folder.empty()) refuse_run({flags.run_folder});
  check_master(flags);
  SignalWatch signals;
  int code = 0;
  const auto plan = ask_for_plan(flags, false, signals, code);
  if (!plan) return code;
  const std::string mpirun = find_mpirun(variables);
  const StartChoice start = choose_start(*plan, variables, mpirun, flags.node.has_value());
  const RunFolder run = make_run_folder(flags, *plan);
  const auto lock = lock_run(run);
  run.remove_unfinished();
  refuse_run(run);  // another launcher may have been quicker
  write_file_atomic(run.environment(),
                    environment_facts(mpirun, command_words("train", arguments)));
  write_run_files(run, *plan);
  return supervise(run, *plan, start, flags, signals);
}

int resume_command(const std::vector<std::string>& arguments) {
  TrainFlags flags = read_train_flags("resume", arguments);
  const Variables variables = current_variables();
  if (is_rank(variables)) train_as_rank(flags, true);
  if (flags.node && flags.node->rank > 0) return train_on_further_node(flags, true);
  check_master(flags);
  const RunFolder run = RunFolder::find(flags.target);
  flags.target = run.root.string();
  const auto lock = lock_run(run);
  run.remove_unfinished();
  SignalWatch signals;
  int code = 0;
  const auto plan = ask_for_plan(flags, true, signals, code);
  if (!plan) return code;
  const std::string mpirun = find_mpirun(variables);
  const StartChoice start = choose_start(*plan, variables, mpirun, flags.node.has_value());
  const RunStatus status = read_status(run);
  if (status.state == "done" && status.step >= plan->steps && flags.dry_run_steps == 0) {
    std::fprintf(stderr, "this run is done: step %lld of %lld\n",
                 static_cast<long long>(status.step), static_cast<long long>(plan->steps));
    std::printf("run folder: %s\n", run.root.c_str());
    return 0;
  }
  write_file_atomic(run.environment(),
                    environment_facts(mpirun, command_words("resume", arguments)));
  write_run_files(run, *plan);
  return supervise(run, *plan, start, flags, signals);
}

}  // namespace lockstep
