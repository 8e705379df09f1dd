// metrics.jsonl: one JSON object a line; the truth that reports are drawn from (design.md 5).
//
// Only rank 0 writes. Lines are flushed one by one; a torn last line of a killed run is dropped
// on resume, and lines past the checkpoint move to logs/attempt-N/, so each step appears once.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/run_folder.h"
#include "train/step_result.h"

namespace lockstep {

// metrics.jsonl of a run, on rank 0. Each call throws EnvironmentError if the run folder was
// removed or moved; a full disk only delays the lines.
class MetricsFile {
 public:
  // Opens for appending. Lines after `step` are moved to the folder of `attempt` first.
  MetricsFile(const RunFolder& folder, int attempt, int64_t step);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  void attempt(int number, int64_t step, int64_t ranks, int64_t slots);
  void step(const StepResult& result);
  // `record`: what the scores depend on besides the weights. `smaller_is_better`: those scores of
  // which it is true; reports rank by it.
  void evaluation(int64_t step, const std::map<std::string, double>& scores, double seconds,
                  const std::map<std::string, std::string>& record = {},
                  const std::vector<std::string>& smaller_is_better = {});

 private:
  void open();
  bool is_in_place() const;
  void line(const std::string& json);
  void write_pending();

  const RunFolder folder_;
  int file_ = -1;
  std::string pending_;  // lines that are not on disk yet
  bool warned_ = false;  // since the last line that could be written
};

// The scores of the evaluation lines of step `step` in metrics.jsonl, in order; none without the
// file.
std::vector<std::map<std::string, double>> evaluations_written(const RunFolder& folder,
                                                               int64_t step);

// Resident memory of this process.
int64_t resident_bytes();

}  // namespace lockstep
