#include "launcher/sweep/sweep_run.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "launcher/ranks/failure.h"
#include "launcher/ranks/process_tree.h"
#include "launcher/ranks/run_lock.h"
#include "launcher/ranks/status_file.h"
#include "launcher/worker_program.h"
#include "report/metrics_file.h"
#include "report/page_parts.h"
#include "report/run_facts.h"

namespace lockstep {
namespace {

constexpr int kPointPollMilliseconds = 100;
constexpr double kResultsSeconds = 5;  // least time between two writings of the results
constexpr double kAskPointAgainSeconds =
    2;                                    // a point that is just starting may miss the first signal
constexpr double kInterruptSeconds = 10;  // how long points may take to end at once
constexpr const char* kLogName = "sweep.log";

std::string config_hash_of(const RunFolder& run) {
  const auto json = nlohmann::json::parse(read_file(run.plan(), 1 << 24), nullptr, false);
  return json.is_object() ? json.value("config_hash", "") : "";
}

// The last message of the form "error: …" in a log, up to its help line.
std::string last_error(const fs::path& log) {
  std::string found;
  bool inside = false;
  for (const std::string& line : last_lines(log, 60)) {
    const size_t at = line.find("error: ");
    if (at != std::string::npos)
      found = line.substr(at + 7), inside = true;
    else if (inside && line.starts_with("help: "))
      found += " (" + line + ")", inside = false;
  }
  return found;
}

// The last value of each score that the sweep ranks by.
std::string scores_text(const Metrics& metrics, const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    for (auto line = metrics.evaluations.rbegin(); line != metrics.evaluations.rend(); ++line) {
      const double value = score(*line, name);
      if (std::isnan(value)) continue;
      text += ", " + name + " " + score_text(value);
      break;
    }
  return text;
}

}  // namespace

SweepPointRun look_at_point(const SweepPoint& point, const PointPlan& plan,
                            const std::filesystem::path& root) {
  SweepPointRun out{point, {}, {root / point.name}, "waiting", 0, "", false};
  if (!plan.plan) {
    out.state = "wrong";
    out.exit_code = plan.code;
    out.error = plan.fact;
    return out;
  }
  out.plan = *plan.plan;
  if (!out.run.holds_run()) return out;
  const std::string hash = config_hash_of(out.run);
  if (!hash.empty() && hash != out.plan.config_hash) {
    out.stale = newest_checkpoint(out.run).empty();
    if (out.stale) return out;
    throw ConfigError(
        out.run.root.string() + " holds a run of another config than this sweep's point has",
        "give the sweep another name, or remove that folder: the base config or what all points "
        "set has changed");
  }
  const RunStatus status = read_status(out.run);
  if (status.state == "done" && status.step >= out.plan.steps) {
    out.state = "done";
    out.run.remove_unfinished();  // it may have been killed behind its last step, while its report
                                  // was written
  }
  // Broken numbers break again at the same step.
  if (status.state == "failed" && status.exit_code == static_cast<int>(ExitCode::kNumeric)) {
    out.state = "failed";
    out.exit_code = status.exit_code;
    out.error = last_error(out.run.root / kLogName);
  }
  return out;
}

// A point that runs now.
struct SweepRunner::Running {
  size_t index;
  double started;
  bool planned;  // its run has begun: from then on it makes no data any more
  std::unique_ptr<ChildProcess> child;
};

SweepRunner::SweepRunner(SweepRunOptions options, std::vector<SweepPointRun> points,
                         SignalWatch& signals, Console& console)
    : options_(std::move(options)),
      points_(std::move(points)),
      signals_(signals),
      console_(console) {
  adopt_orphans();
  for (size_t i = 0; i < points_.size(); ++i)
    if (points_[i].state == "waiting") waiting_.push_back(i);
}

SweepRunner::~SweepRunner() = default;

std::string SweepRunner::label(size_t index) const {
  const std::string total = std::to_string(points_.size());
  return fmt::format("[{:>{}}/{}] {}", index + 1, total.size(), total, points_[index].point.name);
}

void SweepRunner::run() {
  told_seconds_ = monotonic_seconds();
  while (!running_.empty() || (!waiting_.empty() && !signals_.stop_requested())) {
    if (!signals_.stop_requested()) start_what_fits();
    pollfd news{signals_.descriptor(), POLLIN, 0};
    poll(&news, 1, kPointPollMilliseconds);
    signals_.read_pending();
    if (signals_.stop_requested()) ask_to_stop();
    collect_ended();
    tell_news();
  }
  kill_descendants();
}

// Two points on one GPU would only slow each other down: unless told otherwise it has one at a
// time.
int64_t SweepRunner::cores_of(const SweepPointRun& point) const {
  if (point.plan.device != "cpu") return options_.cores;
  return point.plan.ranks_per_node * point.plan.threads_per_rank;
}

bool SweepRunner::fits(const SweepPointRun& point) const {
  if (running_.empty()) return true;
  if (static_cast<int64_t>(running_.size()) >= options_.at_once) return false;
  int64_t used = 0;
  for (const auto& one : running_) {
    // Only one point at a time looks at its data, since it makes what is missing.
    if (!one->planned) return false;
    used += cores_of(points_[one->index]);
  }
  return options_.cores == 0 || used + cores_of(point) <= options_.cores;
}

void SweepRunner::start_what_fits() {
  for (const auto& one : running_)
    one->planned = one->planned || points_[one->index].run.holds_run();
  for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
    const SweepPointRun& point = points_[*at];
    // Ranks of a sweep that was killed may still be saving.
    if (point.run.holds_run() && is_locked(point.run)) continue;
    if (!fits(point)) return;
    const size_t index = *at;
    waiting_.erase(at);
    start(index);
    return;
  }
}

Command SweepRunner::command_of(const SweepPointRun& point) const {
  const std::string threads =
      "launch.threads_per_rank=" + std::to_string(point.plan.threads_per_rank);
  if (point.run.holds_run())
    return {{launcher_path(), "resume", point.run.root.string(), threads}, {}};
  Command command{{launcher_path(), "train", options_.base}, {}};
  command.words.insert(command.words.end(), point.point.overrides.begin(),
                       point.point.overrides.end());
  for (const std::string& word :
       {"run.name=" + options_.name, threads, std::string("--run-folder"), point.run.root.string()})
    command.words.push_back(word);
  return command;
}

// A disk that is full is one point's failure, not the end of those that run.
void SweepRunner::start(size_t index) {
  SweepPointRun& point = points_[index];
  try {
    running_.push_back(start_process(index));
    point.state = "running";
  } catch (const Error& error) {
    point.state = "failed";
    point.exit_code = static_cast<int>(error.code());
    point.error = error.what();
    console_.line(label(index) + ": FAILED before it started\n" + error.message());
  }
}

std::unique_ptr<SweepRunner::Running> SweepRunner::start_process(size_t index) {
  SweepPointRun& point = points_[index];
  std::error_code ignored;
  if (point.stale) fs::remove_all(point.run.root, ignored);
  const bool resumed = point.run.holds_run();
  make_folders(point.run.root);
  const fs::path log_path = point.run.root / kLogName;
  const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0)
    throw EnvironmentError("cannot write " + log_path.string() + ": " + std::strerror(errno));
  auto running = std::make_unique<Running>(Running{index, monotonic_seconds(), resumed, nullptr});
  const Command command = command_of(point);
  if (dprintf(log, "%s\n", command.text().c_str()) < 0)
    console_.line("warning: cannot write " + log_path.string());
  try {
    running->child =
        std::make_unique<ChildProcess>(command, ChildOptions{true, SIGTERM, -1, log, log});
  } catch (...) {
    close(log);
    throw;
  }
  close(log);
  console_.line(label(index) + (resumed ? ": goes on" : ": starts"));
  return running;
}

void SweepRunner::collect_ended() {
  bool any = false;
  std::erase_if(running_, [&](const std::unique_ptr<Running>& one) {
    const auto status = one->child->ended();
    if (status) judge(*one, *status);
    any = any || status.has_value();
    return status.has_value();
  });
  const double now = monotonic_seconds();
  if (!any || now < write_again_seconds_ || signals_.stop_requested()) return;
  write_results();
  // Of a sweep with thousands of points all metrics are read: a twentieth of the time at most.
  const double end = monotonic_seconds();
  write_again_seconds_ = end + kResultsSeconds + 20 * (end - now);
}

void SweepRunner::judge(Running& running, const ExitStatus& status) {
  SweepPointRun& point = points_[running.index];
  const double seconds = monotonic_seconds() - running.started;
  point.exit_code = status.code;
  if (status.good()) {
    point.state = "done";
    const Metrics metrics = read_metrics(point.run);
    const double loss = metrics.steps.empty() ? kNoScore : metrics.steps.back().value("loss");
    console_.line(label(running.index) + ": done in " + duration_text(seconds) +
                  (std::isnan(loss) ? "" : ", loss " + score_text(loss)) +
                  scores_text(metrics, shown_scores()));
    return;
  }
  if (status.code == static_cast<int>(ExitCode::kStopped) ||
      status.code == static_cast<int>(ExitCode::kInterrupted)) {
    point.state = "stopped";
    console_.line(label(running.index) +
                  fmt::format(": stopped at step {}", read_status(point.run).step));
    return;
  }
  point.state = "failed";
  point.error = last_error(point.run.root / kLogName);
  if (point.error.empty())
    point.error = status.signal != 0 ? "its launcher died of " + signal_name(status.signal)
                                     : "it gave no message";
  console_.line(label(running.index) +
                fmt::format(": FAILED with exit code {}\n      error: {}\n      log: {}",
                            status.code, point.error, (point.run.root / kLogName).string()));
}

void SweepRunner::ask_to_stop() {
  const double now = monotonic_seconds();
  if (asked_seconds_ == 0) {
    console_.line(
        fmt::format("stopping: {} running point{} finish their step and save{}", running_.size(),
                    running_.size() == 1 ? "" : "s",
                    signals_.first() == SIGINT ? " (Ctrl-C again ends at once, unsaved)" : ""));
  }
  if (signals_.end_at_once()) {
    if (interrupted_seconds_ == 0) interrupted_seconds_ = now;
    const bool too_late = now - interrupted_seconds_ > kInterruptSeconds;
    for (const auto& one : running_)
      one->child->signal(too_late ? SIGKILL : SIGINT);  // a point wants two, too
    return;
  }
  if (asked_seconds_ != 0 && now - asked_seconds_ < kAskPointAgainSeconds) return;
  for (const auto& one : running_) one->child->signal(SIGTERM);
  asked_seconds_ = now;
}

void SweepRunner::tell_news() {
  constexpr size_t kLinesAtOnce = 4;  // more points, fewer lines of each
  const double pause = options_.news_seconds *
                       static_cast<double>((running_.size() + kLinesAtOnce - 1) / kLinesAtOnce);
  if (running_.empty() || monotonic_seconds() - told_seconds_ < pause) return;
  told_seconds_ = monotonic_seconds();
  for (const auto& one : running_) {
    const SweepPointRun& point = points_[one->index];
    const Metrics metrics = read_metrics(point.run);
    if (metrics.steps.empty()) continue;
    const StepLine& last = metrics.steps.back();
    console_.line(label(one->index) + fmt::format(": step {}/{}, loss {}{}", last.step,
                                                  point.plan.steps, score_text(last.value("loss")),
                                                  scores_text(metrics, shown_scores())));
  }
}

std::vector<std::string> SweepRunner::shown_scores() const {
  return options_.rank_by.empty()
             ? std::vector<std::string>{"validation_loss", "validation_accuracy"}
             : options_.rank_by;
}

SweepResults SweepRunner::write_results() {
  std::vector<SweepPointFacts> facts;
  for (const SweepPointRun& one : points_) {
    SweepPointFacts fact{one.point.name, one.run,       {},        one.point.overrides,
                         one.state,      one.exit_code, one.error, one.plan.steps};
    for (const SweepSetting& setting : one.point.settings)
      fact.values.emplace_back(setting.key, plain_value(setting.value));
    facts.push_back(std::move(fact));
  }
  SweepResults results =
      read_sweep_results(options_.name, options_.rank_by, options_.keys, std::move(facts));
  write_sweep_results(results, options_.root);
  return results;
}

}  // namespace lockstep
