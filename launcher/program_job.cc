#include "launcher/program_job.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <poll.h>

#include "core/errors.h"
#include "core/files.h"
#include "launcher/ranks/process_tree.h"
#include "launcher/ranks/rank_group.h"
#include "launcher/ranks/rank_watch.h"

namespace lockstep {
namespace {

constexpr double kPatienceSeconds = 30;     // after a request to stop, as torchrun has it
constexpr const char* kMeetSeconds = "60";  // a node that gave up does not come back

// A second start helps against failures of ranks or machines, not against those that come again.
bool may_restart(const JobOptions& options, const ExitStatus& status) {
  return !options.is_worker || status.signal != 0 ||
         status.code == static_cast<int>(ExitCode::kRanks);
}

Socket open_log(const JobOptions& options, int64_t local, const char* name) {
  const fs::path folder = fs::path(options.log_folder) /
                          ("attempt_" + std::to_string(options.node.restart)) /
                          std::to_string(local);
  make_folders(folder);
  Socket file(open((folder / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file)
    throw EnvironmentError("cannot write " + (folder / name).string() + ": " +
                           std::strerror(errno));
  return file;
}

std::vector<Command> rank_commands(const JobOptions& options) {
  std::vector<Command> commands;
  for (int64_t local = 0; local < (options.local ? options.node.ranks_per_node : 1); ++local) {
    Command command{options.program, options.environment};
    for (auto& variable : rank_variables(options.node, local, -1))
      command.environment.push_back(std::move(variable));
    if (std::getenv("OMP_NUM_THREADS") == nullptr)
      command.environment.emplace_back("OMP_NUM_THREADS", "1");
    if (options.is_worker) command.environment.emplace_back("TORCH_CPP_LOG_LEVEL", "ERROR");
    if (options.is_worker && options.node.restart > 0)
      command.environment.emplace_back("LOCKSTEP_MEET_SECONDS", kMeetSeconds);
    commands.push_back(std::move(command));
  }
  return commands;
}

std::vector<ChildOptions> rank_outputs(const JobOptions& options, std::vector<Socket>& files) {
  std::vector<ChildOptions> outputs;
  const int64_t count = options.local ? options.node.ranks_per_node : 1;
  for (int64_t local = 0; local < count; ++local) {
    ChildOptions child{true, SIGTERM, -1, -1, -1};
    if (!options.log_folder.empty() && (options.redirects & 1) != 0)
      child.output = files.emplace_back(open_log(options, local, "stdout.log")).descriptor();
    if (!options.log_folder.empty() && (options.redirects & 2) != 0)
      child.error = files.emplace_back(open_log(options, local, "stderr.log")).descriptor();
    outputs.push_back(child);
  }
  return outputs;
}

struct AttemptEnd {
  ExitStatus status;
  std::string who;  // "rank 3 (process 77)"
};

AttemptEnd run_attempt(const JobOptions& options, SignalWatch& signals) {
  std::vector<Socket> files;
  RankGroup ranks(rank_commands(options), rank_outputs(options, files));
  double asked = 0;
  while (!ranks.ended()) {
    pollfd entry{signals.descriptor(), POLLIN, 0};
    poll(&entry, 1, 100);
    signals.read_pending();
    if (!signals.stop_requested()) continue;
    if (asked == 0) {
      asked = monotonic_seconds();
      ranks.signal(signals.first() == SIGHUP ? SIGTERM : signals.first());
    }
    if (signals.end_at_once() || monotonic_seconds() - asked > kPatienceSeconds) break;
  }
  if (!ranks.ended()) kill_descendants();
  AttemptEnd end{ranks.wait(), "the program"};
  kill_descendants();
  if (ranks.first_failure() && options.local)
    end.who = "rank " + std::to_string(options.node.first_rank() + ranks.first_failure()->index) +
              " (process " + std::to_string(ranks.first_failure()->pid) + ")";
  return end;
}

}  // namespace

int run_job(JobOptions options, SignalWatch& signals, Console& console) {
  adopt_orphans();
  for (;; ++options.node.restart) {
    const AttemptEnd end = run_attempt(options, signals);
    if (signals.end_at_once()) return static_cast<int>(ExitCode::kInterrupted);
    if (end.status.good()) return 0;
    const bool stopped =
        signals.stop_requested() || end.status.code == static_cast<int>(ExitCode::kStopped);
    if (!stopped)
      console.line("error: " + end.who +
                   (end.status.signal != 0
                        ? " was killed by " + signal_name(end.status.signal)
                        : " exited with code " + std::to_string(end.status.code)));
    if (stopped || !may_restart(options, end.status) ||
        options.node.restart >= options.node.max_restarts)
      return end.status.code;
    console.line("note: starting all ranks again (restart " +
                 std::to_string(options.node.restart + 1) + " of " +
                 std::to_string(options.node.max_restarts) + ")");
  }
}

}  // namespace lockstep
