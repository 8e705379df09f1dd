// metrics.jsonl as the report reads it.
//
// The file may end in half a line (the run was killed), hold lines of a newer version, or be
// damaged: such lines are counted and shown at their place, never a reason to fail.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/run_folder.h"

namespace lockstep {

struct StepLine {
  int64_t step = 0;
  double time = 0;  // Unix seconds, 0 if the line has none
  double epoch = 0;
  // All numbers of the line by name, in file order: loss, lr, grad_norm …
  std::vector<std::pair<std::string, double>> values;
  // Quiet NaN if there is no such value.
  double value(const std::string& name) const;
};

struct EvaluationLine {
  int64_t step = 0;
  double time = 0;
  std::vector<std::pair<std::string, double>> scores;  // nested ones as "solve_rate.easy"
};

struct AttemptLine {
  int attempt = 0;
  int64_t step = 0;  // the step it started from
  int64_t ranks = 0;
  int64_t slots = 0;
  double time = 0;
};

struct BadLine {
  int64_t line = 0;  // from 1
  int64_t after_step = 0;
  std::string reason;
};

struct Metrics {
  std::vector<StepLine> steps;
  std::vector<EvaluationLine> evaluations;
  std::vector<AttemptLine> attempts;
  std::vector<BadLine> bad;
  std::set<std::string> smaller_is_better;  // scores, as their evaluations declare

  // Seconds of training, attempts added up; what lay between them does not count.
  double seconds() const;
};

// Empty if the file is missing. Throws nothing but std::bad_alloc.
Metrics read_metrics(const RunFolder& run);
Metrics parse_metrics(const std::string& text);

// "easy 99.8 %, hard 97.2 %": up to `count` scores of the last evaluation; "" if there is none.
std::string newest_scores(const Metrics& metrics, size_t count);

// A score as people read it: shares between 0 and 1 stay numbers with 4 digits.
std::string score_text(double value);

}  // namespace lockstep
