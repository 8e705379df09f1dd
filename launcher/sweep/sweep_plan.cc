#include "launcher/sweep/sweep_plan.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>

#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/errors.h"
#include "core/text_lines.h"
#include "launcher/ranks/child_process.h"
#include "launcher/worker_program.h"

namespace lockstep {
namespace {

// A file in memory that a child writes into: unlike a pipe it cannot fill up while nobody reads.
class MemoryFile {
 public:
  MemoryFile() : number_(memfd_create("lockstep-plan", MFD_CLOEXEC)) {
    if (number_ < 0)
      throw EnvironmentError(std::string("cannot make a file in memory: ") + std::strerror(errno));
  }
  ~MemoryFile() { close(number_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  int number() const { return number_; }

  std::string text() const {
    std::string out;
    char buffer[8192];
    for (off_t at = 0;;) {
      const ssize_t got = pread(number_, buffer, sizeof buffer, at);
      if (got <= 0) return out;
      out.append(buffer, static_cast<size_t>(got));
      at += got;
    }
  }

 private:
  int number_;
};

// One worker that makes a plan.
struct Asked {
  size_t point = 0;
  MemoryFile out, err;
  std::unique_ptr<ChildProcess> child;
};

std::vector<std::string> plan_words(const SweepFile& file, const SweepPoint& point,
                                    const SweepPlanOptions& options, bool prepare) {
  std::vector<std::string> words{worker_path(), "plan", file.base};
  words.insert(words.end(), point.overrides.begin(), point.overrides.end());
  words.push_back("run.name=" + file.name);
  words.insert(words.end(), {prepare ? "--prepare" : "--json", "--cores",
                             std::to_string(options.cores_a_point)});
  return words;
}

PointPlan judge(const SweepPoint& point, const ExitStatus& status, const std::string& out,
                const std::string& err) {
  PointPlan plan;
  plan.code = status.code;
  if (status.good()) {
    plan.plan = parse_launch_plan(last_line(out));
    return plan;
  }
  const size_t start = err.find("error: ");
  plan.message = start == std::string::npos ? err : err.substr(start);
  while (!plan.message.empty() && plan.message.back() == '\n') plan.message.pop_back();
  if (status.signal != 0)
    plan.message =
        "error: lockstep-worker died of " + signal_name(status.signal) + " while it made the plan";
  plan.message = with_sweep_place(plan.message, point);
  plan.fact = first_line(plan.message);
  if (plan.fact.starts_with("error: ")) plan.fact.erase(0, 7);
  return plan;
}

// Runs the worker for these points, several at once.
void ask_all(const SweepFile& file, const std::vector<SweepPoint>& points,
             const std::vector<size_t>& which, const SweepPlanOptions& options,
             SignalWatch& signals, std::vector<PointPlan>& plans) {
  std::vector<std::unique_ptr<Asked>> running;
  size_t next = 0;
  while (next < which.size() || !running.empty()) {
    while (next < which.size() && running.size() < static_cast<size_t>(options.workers)) {
      auto asked = std::make_unique<Asked>();
      asked->point = which[next++];
      const Command command{plan_words(file, points[asked->point], options, false),
                            {{"OMP_NUM_THREADS", "1"}}};
      asked->child = std::make_unique<ChildProcess>(
          command, ChildOptions{true, SIGKILL, -1, asked->out.number(), asked->err.number()});
      running.push_back(std::move(asked));
    }
    pollfd news{signals.descriptor(), POLLIN, 0};
    poll(&news, 1, 50);
    signals.read_pending();
    if (signals.stop_requested()) return;  // the children are killed
    std::erase_if(running, [&](const std::unique_ptr<Asked>& asked) {
      const auto status = asked->child->ended();
      if (status)
        plans[asked->point] =
            judge(points[asked->point], *status, asked->out.text(), asked->err.text());
      return status.has_value();
    });
  }
}

// Makes the data of one point, with the worker's progress on the terminal, then its plan. `before`
// is the plan that failed for want of data, or for data that do not fit: then it fails again, for
// the same reason.
PointPlan prepare(const SweepFile& file, const SweepPoint& point, const PointPlan& before,
                  const SweepPlanOptions& options, SignalWatch& signals) {
  std::vector<std::string> words = plan_words(file, point, options, true);
  words.erase(words.begin());
  const WorkerAnswer answer = ask_worker(words, &signals);
  PointPlan plan;
  if (answer.code == before.code) return before;
  plan.code = answer.code;
  if (answer.code == 0)
    plan.plan = parse_launch_plan(answer.last_line);
  else
    plan.fact = plan.message = "its data cannot be made; the message is above";
  return plan;
}

}  // namespace

std::vector<PointPlan> plan_points(const SweepFile& file, const std::vector<SweepPoint>& points,
                                   const SweepPlanOptions& options, SignalWatch& signals,
                                   Console& console) {
  std::vector<PointPlan> plans(points.size());
  for (PointPlan& plan : plans) plan.code = static_cast<int>(ExitCode::kStopped);
  std::vector<size_t> pending(points.size());
  for (size_t i = 0; i < pending.size(); ++i) pending[i] = i;
  while (!pending.empty() && !signals.stop_requested()) {
    ask_all(file, points, pending, options, signals, plans);
    // Data may be missing since nobody has made them yet: that is the config's to do, not its
    // fault.
    std::erase_if(pending,
                  [&](size_t i) { return plans[i].code != static_cast<int>(ExitCode::kData); });
    if (!options.make_data) {
      for (size_t i : pending) plans[i].needs_data = true;
      return plans;
    }
    if (pending.empty() || signals.stop_requested()) break;
    const size_t first = pending.front();
    console.line("looking at the data of " + points[first].name);
    const std::string missing = plans[first].message;
    plans[first] = prepare(file, points[first], plans[first], options, signals);
    pending.erase(pending.begin());
    if (plans[first].plan) continue;
    // What could not be made for one cannot be made for the others that miss the same.
    for (size_t i : pending)
      if (plans[i].message == missing) plans[i] = plans[first];
    std::erase_if(pending, [&](size_t i) { return plans[i].message == plans[first].message; });
  }
  return plans;
}

std::string with_sweep_place(const std::string& message, const SweepPoint& point) {
  static const std::string kArrow = "\n  --> command line\n | ";
  const size_t start = message.find(kArrow);
  if (start == std::string::npos) return message;
  const size_t text_start = start + kArrow.size();
  const size_t text_end = std::min(message.find('\n', text_start), message.size());
  const std::string text = message.substr(text_start, text_end - text_start);
  for (const SweepSetting& setting : point.settings) {
    if (setting.text() != text) continue;
    // The caret's line: " |    ^", under the key or under the value.
    const size_t caret = message.find('^', text_end);
    const size_t line_end = std::min(message.find('\n', text_end + 1), message.size());
    const bool has_caret = caret != std::string::npos && caret < line_end;
    const bool in_key = has_caret && caret - (text_end + 1) - 3 < setting.key.size();
    Error error(
        ExitCode::kUsage, message.substr(std::strlen("error: "), start - std::strlen("error: ")),
        "", in_key || setting.value.place.file.empty() ? setting.key_place : setting.value.place);
    return error.message() + (has_caret ? message.substr(line_end) : message.substr(text_end));
  }
  return message;
}

int64_t usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace lockstep
