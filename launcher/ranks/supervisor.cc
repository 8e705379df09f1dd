#include "launcher/ranks/supervisor.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/text_lines.h"
#include "launcher/ranks/process_tree.h"
#include "launcher/ranks/rank_pipe.h"
#include "launcher/ranks/scratch_folder.h"

namespace lockstep {
namespace {

constexpr int kPollMilliseconds = 100;
constexpr double kAskAgainSeconds = 1.0;  // a rank that just started may have missed the signal
constexpr double kMeetingSeconds = 3.0;
constexpr int kMaxRestartsWithoutProgress = 3;
constexpr size_t kLogLines = 10;

class Descriptor {
 public:
  explicit Descriptor(const fs::path& path)
      : number_(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
    if (number_ < 0)
      throw EnvironmentError("cannot write " + path.string() + ": " + std::strerror(errno));
  }
  ~Descriptor() { close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

void wait_for_news(int a, int b) {
  pollfd descriptors[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
  poll(descriptors, 2, kPollMilliseconds);
}

const char* starter_name(StartWay way) {
  return way == StartWay::kSrun     ? "srun"
         : way == StartWay::kMpirun ? "mpirun"
         : way == StartWay::kLocal  ? "the ranks"
                                    : "the worker";
}

// A log line that repeats a line of the message, perhaps behind a time stamp.
bool is_part_of(const std::string& log_line, const std::string& message) {
  std::istringstream lines(message);
  for (std::string line; std::getline(lines, line);)
    if (!line.empty() && log_line.ends_with(line)) return true;
  return false;
}

// `shown`: rank 0 has told its message already.
std::string failure_text(const Failure& failure, const fs::path& log, bool shown) {
  std::string text;
  if (failure.message.empty()) {
    text = "error: " + failure.fact + "\n  --> " + log.string() +
           (failure.help.empty() ? "" : "\nhelp: " + failure.help);
  } else if (!shown) {
    text = failure.message;
  }
  const std::string rank = "rank " + std::to_string(failure.rank);
  if (!failure.message.empty())
    text += (shown ? "note: " : "\nnote: ") + rank + " failed first, at step " +
            std::to_string(failure.step);
  std::vector<std::string> lines = last_lines(log, kLogLines);
  while (!lines.empty() && is_part_of(lines.back(), failure.message)) lines.pop_back();
  if (!lines.empty()) text += "\nnote: last lines of " + log.string();
  for (const std::string& line : lines) text += "\n   | " + line;
  return text;
}

}  // namespace

Supervisor::Supervisor(SuperviseOptions options, SignalWatch& signals, Console& console)
    : options_(std::move(options)), signals_(signals), console_(console) {
  adopt_orphans();
}

ExitCode Supervisor::run() {
  for (int number = options_.first_attempt;; ++number) {
    const std::string before = newest_checkpoint(options_.run);
    const AttemptEnd end = run_attempt(number);
    if (end.end != End::kFailed) return finish(number, end.end, end.failure);
    report_failure(number, end.failure);
    restarts_without_progress_ =
        newest_checkpoint(options_.run) > before ? 0 : restarts_without_progress_ + 1;
    const std::string reason = reason_to_give_up(end.failure);
    if (!reason.empty()) {
      console_.line("note: " + reason);
      return finish(number, End::kFailed, end.failure);
    }
    wait_before_restart(++restarts_);
    if (signals_.end_at_once()) return finish(number, End::kInterrupted, end.failure);
    if (signals_.stop_requested()) return finish(number, End::kStopped, end.failure);
  }
}

Supervisor::AttemptEnd Supervisor::run_attempt(int number) {
  const RunFolder& run = options_.run;
  run.make_folder(run.attempt(number));
  const fs::path log_path = run.attempt(number) / "launcher.log";
  const ScratchFolder scratch;
  RankPipe pipe(scratch.path());
  const AttemptFiles files{run.root, run.attempt(number),    scratch.path(),         pipe.path(),
                           number,   options_.dry_run_steps, options_.node.nodes > 1};
  const Descriptor log(log_path);
  const int64_t kills_before = kills_for_memory();
  RankWatch watch(run, number, watched_ranks(), options_.plan.timeout_seconds);
  std::optional<RankState> hung;
  RankGroup ranks = start_ranks(files, log.number());
  while (!ranks.ended()) {
    wait_for_news(signals_.descriptor(), pipe.descriptor());
    signals_.read_pending();
    pipe.drain(console_);
    watch.poll();
    if (signals_.end_at_once()) break;
    if (signals_.stop_requested()) ask_to_stop(watch, ranks);
    if ((hung = watch.hung())) break;
  }
  if (!ranks.ended()) kill_descendants();
  const ExitStatus starter = ranks.wait();
  if (!kill_descendants())
    console_.line("warning: some processes of this run cannot be killed (waiting for a disk?)");
  pipe.drain(console_);
  if (signals_.end_at_once()) return {End::kInterrupted, {}};
  run.check_still_there();  // logs and status lie in it
  return judge(number, watch, hung, ranks, starter, log_path, kills_before);
}

// On further nodes their own launchers look after the ranks.
int64_t Supervisor::watched_ranks() const {
  return options_.start.way == StartWay::kLocal ? options_.node.ranks_per_node
                                                : options_.plan.ranks;
}

RankGroup Supervisor::start_ranks(const AttemptFiles& files, int log) {
  ChildOptions child{true, SIGTERM, -1, log, log};
  if (options_.start.way != StartWay::kLocal) {
    const Command command = start_command(options_.start, options_.plan, files, options_.programs);
    dprintf(log, "%s\n", command.text().c_str());
    return RankGroup({command}, child);
  }
  JobNode node = options_.node;
  node.restart = restarts_;
  const Socket master = bind_master(node);
  child.inherited = master.descriptor();
  const std::vector<Command> commands =
      local_commands(node, files, options_.programs, master.descriptor());
  dprintf(log, "%zu x %s\n", commands.size(), commands.front().text().c_str());
  return RankGroup(commands, child);
}

Supervisor::AttemptEnd Supervisor::judge(int number, const RankWatch& watch,
                                         const std::optional<RankState>& hung,
                                         const RankGroup& ranks, const ExitStatus& starter,
                                         const fs::path& log, int64_t kills_before) {
  const RunStatus status = read_status(options_.run);
  // Our own request to stop can meet mpirun when it has nothing left to forward it to, and ends it.
  const bool ended_well = starter.good() || (asked_seconds_ > 0 && starter.signal == SIGUSR1);
  if (!hung && ended_well && status.attempt == number) {
    if (status.state == "done") return {End::kDone, {}};
    if (status.state == "stopped") return {End::kStopped, {}};
  }
  if (asked_seconds_ > 0 && starter.code == static_cast<int>(ExitCode::kStopped))
    return {End::kStopped, {}};
  Evidence evidence;
  evidence.hung = hung;
  evidence.hung_seconds = hung ? watch.silent_seconds(*hung) : 0;
  evidence.errors = watch.errors();
  evidence.ranks = watch.ranks();
  evidence.starter = starter;
  if (options_.start.way == StartWay::kLocal) evidence.first_failure = ranks.first_failure();
  evidence.direct = options_.start.way == StartWay::kDirect;
  evidence.starter_name = starter_name(options_.start.way);
  evidence.starter_log = read_file(log);
  evidence.timeout_seconds = options_.plan.timeout_seconds;
  evidence.kills_for_memory = kills_for_memory() - kills_before;
  return {End::kFailed, find_cause(evidence)};
}

void Supervisor::ask_to_stop(const RankWatch& watch, RankGroup& ranks) {
  const double now = monotonic_seconds();
  if (asked_seconds_ == 0) {
    console_.line(
        "stopping: the ranks finish their step and save" +
        std::string(signals_.first() == SIGINT ? " (Ctrl-C again ends at once, unsaved)" : ""));
    asked_seconds_ = now - kAskAgainSeconds;
  }
  if (first_asked_seconds_ == 0) first_asked_seconds_ = now;
  // Ranks that wait for those of another node have no pages yet; they can be told to give it up.
  const bool meeting = options_.node.nodes > 1 && now - first_asked_seconds_ > kMeetingSeconds;
  if ((!watch.all_seen() && !meeting) || now - asked_seconds_ < kAskAgainSeconds) return;
  for (const RankState& rank : watch.ranks())
    if (rank.gone || rank.page.phase == Phase::kDone) return;  // they are on their way out
  ranks.signal(SIGUSR1);
  asked_seconds_ = now;
}

void Supervisor::report_failure(int number, const Failure& failure) {
  const bool of_rank = failure.rank >= 0;
  const fs::path log = of_rank ? options_.run.rank_log(number, failure.rank)
                               : options_.run.attempt(number) / "launcher.log";
  console_.line(failure_text(failure, log, console_.has_shown(first_line(failure.message))));

  const std::string checkpoint = newest_checkpoint(options_.run);
  const nlohmann::ordered_json json{
      {"attempt", number},
      {"rank", failure.rank},
      {"exit_code", static_cast<int>(failure.exit_code())},
      {"code", failure.code},
      {"signal", failure.signal != 0 ? signal_name(failure.signal) : ""},
      {"fact", failure.fact},
      {"help", failure.help},
      {"message", failure.message},
      {"step", failure.step},
      {"pid", failure.pid},
      {"checkpoint", checkpoint}};
  const std::string content =
      json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  try_to("write error.json", [&] {
    write_file_atomic(options_.run.attempt(number) / "error.json", content);
    write_file_atomic(options_.run.error(), content);
  });
}

// A full disk must not hide why the ranks failed.
void Supervisor::try_to(const char* what, const std::function<void()>& action) {
  try {
    action();
  } catch (const std::exception& error) {
    console_.line(std::string("warning: cannot ") + what + ": " + error.what());
  }
}

std::string Supervisor::reason_to_give_up(const Failure& failure) const {
  if (!failure.may_restart()) return "no restart: the same would happen again";
  if (signals_.stop_requested()) return "no restart: the run was asked to stop";
  if (restarts_ >= options_.plan.max_restarts) {
    return options_.plan.max_restarts == 0
               ? "no restart: launch.max_restarts is 0"
               : "no restart: all " + std::to_string(options_.plan.max_restarts) +
                     " of launch.max_restarts are used up";
  }
  if (restarts_without_progress_ > kMaxRestartsWithoutProgress) {
    return "no restart: " + std::to_string(kMaxRestartsWithoutProgress) +
           " restarts brought no new checkpoint";
  }
  return "";
}

void Supervisor::wait_before_restart(int restart) {
  const int seconds = 1 << std::min(restart - 1, 2);  // 1, 2, 4, 4, …
  const std::string checkpoint = newest_checkpoint(options_.run);
  console_.line("note: " +
                (checkpoint.empty()
                     ? "there is no checkpoint yet; starting again from the first step"
                     : "checkpoint " + checkpoint + " is intact; going on from it") +
                " in " + std::to_string(seconds) + " s (restart " + std::to_string(restart) +
                " of " + std::to_string(options_.plan.max_restarts) + ")");
  const double end = monotonic_seconds() + seconds;
  while (monotonic_seconds() < end && !signals_.stop_requested()) {
    wait_for_news(signals_.descriptor(), -1);
    signals_.read_pending();
  }
}

ExitCode Supervisor::finish(int number, End end, const Failure& failure) {
  RunStatus status = read_status(options_.run);
  ExitCode code = ExitCode::kDone;
  switch (end) {
    case End::kDone:
      status.state = "done";
      break;
    case End::kStopped:
      status.state = "stopped", code = ExitCode::kStopped;
      break;
    case End::kInterrupted:
      status.state = "stopped", code = ExitCode::kInterrupted;
      break;
    case End::kFailed:
      status.state = "failed";
      status.step = std::max(status.step, failure.step);
      code = failure.exit_code();
      break;
  }
  status.exit_code = static_cast<int>(code);
  status.attempt = number;
  status.checkpoint = newest_checkpoint(options_.run);
  try_to("write status.json", [&] { write_status(options_.run, status); });
  std::error_code missing;
  if (end != End::kFailed) fs::remove(options_.run.error(), missing);
  return code;
}

}  // namespace lockstep
