// Runs the points of a sweep, several at a time, each as a `lockstep train` or `lockstep resume` of
// its own.
//
//     waiting → running → done | failed | stopped
//
// What a point has reached stands in its run folder alone (plan.json, status.json, checkpoints), so
// a sweep that was killed at any moment goes on where its points are: done ones are left alone,
// those with a run are resumed, the others start. A point is a process with a supervisor, restarts
// and exit codes as any run has; if it fails, the others go on.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/run_folder.h"
#include "launcher/ranks/child_process.h"
#include "launcher/ranks/console.h"
#include "launcher/ranks/signal_watch.h"
#include "launcher/sweep/sweep_plan.h"
#include "launcher/sweep/sweep_points.h"
#include "report/sweep_results.h"

namespace lockstep {

struct SweepRunOptions {
  std::string name, base;  // of the sweep; the config of all points
  std::vector<std::string> keys, rank_by;
  std::filesystem::path root;  // of the sweep, locked
  int64_t at_once = 1;         // points at the same time, at most
  int64_t cores = 0;  // that they may use together, a point that needs more runs alone; 0: any
  double news_seconds = 10;  // between lines about running points
};

// Where a point stands. Made by look_at_point, kept up to date by the runner.
struct SweepPointRun {
  SweepPoint point;
  LaunchPlan plan;  // of a point whose config is right
  RunFolder run;
  std::string state;  // waiting | running | done | failed | stopped | wrong
  int exit_code = 0;
  std::string error;   // one line
  bool stale = false;  // its folder holds a run of another config that never saved: it is removed
};

// What a point has reached before this sweep starts. Throws ConfigError if its folder holds a run
// of another config that has checkpoints; one that failed before its first is no loss.
SweepPointRun look_at_point(const SweepPoint& point, const PointPlan& plan,
                            const std::filesystem::path& root);

class SweepRunner {
 public:
  SweepRunner(SweepRunOptions options, std::vector<SweepPointRun> points, SignalWatch& signals,
              Console& console);
  ~SweepRunner();

  // Returns when all points are over, or have stopped on request; no process of them is left then.
  void run();
  const std::vector<SweepPointRun>& points() const { return points_; }
  // Writes results.csv, results.json and report.html.
  SweepResults write_results();

 private:
  struct Running;
  void start_what_fits();
  bool fits(const SweepPointRun& point) const;
  int64_t cores_of(const SweepPointRun& point) const;
  void start(size_t index);
  std::unique_ptr<Running> start_process(size_t index);
  void collect_ended();
  void judge(Running& running, const ExitStatus& status);
  void ask_to_stop();
  void tell_news();
  std::string label(size_t index) const;
  std::vector<std::string> shown_scores() const;
  Command command_of(const SweepPointRun& point) const;

  SweepRunOptions options_;
  std::vector<SweepPointRun> points_;
  SignalWatch& signals_;
  Console& console_;
  std::deque<size_t> waiting_;
  std::vector<std::unique_ptr<Running>> running_;
  double told_seconds_ = 0, asked_seconds_ = 0, interrupted_seconds_ = 0;
  double write_again_seconds_ = 0;  // when results may be written again while points run
};

}  // namespace lockstep
