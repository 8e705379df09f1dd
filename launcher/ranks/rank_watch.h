// Watches the ranks of one attempt through their pages (core/heartbeat.h) and error files.
//
// Pages answer what a process table cannot: which rank no longer moves, what it was doing, and
// which one fell silent first when a collective drags all others down with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/heartbeat.h"
#include "core/run_folder.h"

namespace lockstep {

// CLOCK_MONOTONIC, the clock of the pages.
double monotonic_seconds();

struct RankState {
  int rank = 0;
  Heartbeat page;
  bool seen = false;        // it has a page
  bool gone = false;        // its process ended
  double gone_seconds = 0;  // when that was noticed
  bool stopped = false;     // by SIGSTOP, for half of the timeout
};

// rank-R.error.json: what a rank said before it exited.
struct RankError {
  int rank = 0;
  int code = 0;
  std::string message;  // "error: … / help: …", as for a person
  std::string fact;     // one line
  double monotonic_seconds = 0;
  int64_t step = 0;
};

class RankWatch {
 public:
  RankWatch(RunFolder run, int attempt, int64_t num_ranks, double timeout_seconds);

  // Reads all pages; call it a few times a second.
  void poll();

  // Every rank has a page, so every rank can be asked to stop.
  bool all_seen() const;
  // The rank that has been silent for longer than the timeout plus some slack, the most silent
  // one first; a rank that ended or never came counts as well. Nothing if all is well.
  std::optional<RankState> hung() const;
  // Seconds since `rank` last wrote its page, not counting time in which we were stopped ourselves
  // (Ctrl-Z): rank 0 may have waited for us to read what it says.
  double silent_seconds(const RankState& rank) const;

  const std::vector<RankState>& ranks() const { return ranks_; }
  // The largest step that any rank reported.
  int64_t step() const;

  // The error files, earliest first; damaged ones are left out.
  std::vector<RankError> errors() const;

 private:
  RunFolder run_;
  int attempt_;
  double timeout_seconds_, slack_seconds_;
  double start_seconds_;  // since when ranks are expected to show signs of life
  double last_poll_seconds_;
  std::vector<RankState> ranks_;
  std::vector<std::unique_ptr<HeartbeatPage>> pages_;
};

}  // namespace lockstep
