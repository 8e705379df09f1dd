// `--profile STEPS`: a Chrome trace of some steps of every rank, and a table of its operators; on a
// GPU also the driver's calls and the kernels, copies and fills that ran.
//
// `log.profile_steps` is "N" (N steps after three that warm up) or "A-B" (steps A to B, counted
// from 1 as in metrics.jsonl). Written to logs/attempt-N/: profile-rank-R.json, which
// chrome://tracing and ui.perfetto.dev open, and profile-rank-R.txt. Recording slows the recorded
// steps and changes no numbers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "train/plan/profile_steps.h"

namespace lockstep {

// One call of an operator or phase, or a kernel, copy or fill on a GPU.
struct TimedCall {
  uint64_t thread = 0;  // on a GPU: the stream
  std::string name;
  uint64_t begin_ns = 0, end_ns = 0;
  bool on_device = false;
};

// One line of the table: all calls of an operator or phase.
struct OperatorTime {
  std::string name;
  int64_t calls = 0;
  double total_ms = 0;  // calls of other operators included
  double self_ms = 0;   // without them
};

// The calls by name. Calls of one thread nest: the time of inner calls is not the outer call's own.
std::vector<OperatorTime> operator_times(std::vector<TimedCall> calls);

// The `count` rows with most time of their own, as text with a heading.
std::string operator_table(std::vector<OperatorTime> rows, size_t count, int64_t steps);

// operator_table of the host's calls and, if there are any, of the device's.
std::string profile_tables(const std::vector<TimedCall>& calls, size_t count, int64_t steps);

// Records the operators that all threads call, and what they start on a GPU if the process uses
// one. A process has one at a time.
class OperatorRecording {
 public:
  OperatorRecording();
  ~OperatorRecording();  // ends it, without results, unless finish did
  OperatorRecording(const OperatorRecording&) = delete;
  OperatorRecording& operator=(const OperatorRecording&) = delete;
  // Waits for the GPU and ends it; with a path, a Chrome trace is written there.
  std::vector<TimedCall> finish(const std::filesystem::path& trace = {});

 private:
  bool recording_ = true;
};

// Records the wanted steps of one rank. Training thread; sees the operators of all threads.
class StepProfiler {
 public:
  // Writes PREFIX.json and PREFIX.txt.
  StepProfiler(ProfileSteps steps, std::filesystem::path prefix);
  void before_step(int64_t step);
  // The table of the recorded steps if `step` was the last of them. `stopping`: no further step
  // comes.
  std::optional<std::string> after_step(int64_t step, bool stopping);

 private:
  const ProfileSteps steps_;
  const std::filesystem::path prefix_;
  int64_t recorded_ = 0;
  std::unique_ptr<OperatorRecording> recording_;  // a stop may cut it short
};

}  // namespace lockstep
