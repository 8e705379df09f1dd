// Starts the ranks, watches them, and starts them again when that helps.
//
//     launch → run → done | stopped
//                  ↘ failed → find the cause → kill what is left → restart, or give up
//
// The supervisor holds no torch, no MPI, no CUDA: it stays alive whatever happens to the ranks.
// A restart goes on from the newest good checkpoint. There are at most launch.max_restarts of
// them, none after an error that would come again (config, data, numbers), and none after three
// in a row that brought no new checkpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/run_folder.h"
#include "launcher/ranks/console.h"
#include "launcher/ranks/failure.h"
#include "launcher/ranks/launch_plan.h"
#include "launcher/ranks/rank_group.h"
#include "launcher/ranks/signal_watch.h"
#include "launcher/ranks/start_command.h"
#include "launcher/ranks/status_file.h"

namespace lockstep {

struct SuperviseOptions {
  RunFolder run;  // locked, with config.yaml and plan.json
  LaunchPlan plan;
  StartChoice start;
  Programs programs;
  int first_attempt = 0;
  int64_t dry_run_steps = 0;  // 0: a whole run
  JobNode node;               // of StartWay::kLocal: the ranks that are our own children
};

class Supervisor {
 public:
  Supervisor(SuperviseOptions options, SignalWatch& signals, Console& console);

  // Returns when the run is over; no process of it is left then. status.json (and error.json,
  // if it failed) say how it ended.
  ExitCode run();

 private:
  enum class End { kDone, kStopped, kInterrupted, kFailed };
  struct AttemptEnd {
    End end = End::kFailed;
    Failure failure;  // of kFailed
  };

  AttemptEnd run_attempt(int number);
  AttemptEnd judge(int number, const RankWatch& watch, const std::optional<RankState>& hung,
                   const RankGroup& ranks, const ExitStatus& starter,
                   const std::filesystem::path& log, int64_t kills_before);
  RankGroup start_ranks(const AttemptFiles& files, int log);
  int64_t watched_ranks() const;
  void ask_to_stop(const RankWatch& watch, RankGroup& ranks);
  void try_to(const char* what, const std::function<void()>& action);
  void report_failure(int number, const Failure& failure);
  // Empty if the run may be restarted, else why not.
  std::string reason_to_give_up(const Failure& failure) const;
  void wait_before_restart(int restart);
  ExitCode finish(int number, End end, const Failure& failure);

  SuperviseOptions options_;
  SignalWatch& signals_;
  Console& console_;
  int restarts_ = 0;
  int restarts_without_progress_ = 0;
  double first_asked_seconds_ = 0;
  double asked_seconds_ = 0;  // when the ranks were last asked to stop, 0: never
};

}  // namespace lockstep
