// What a sweep found: the points with their scores, ranked; as a table, CSV, JSON and a page.
//
// Everything is read from the points' run folders, so that results can be drawn of a sweep that
// still runs, was killed, or has points that failed.
#pragma once

#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/run_folder.h"
#include "report/metrics_file.h"

namespace lockstep {

// What the launcher knows of a point.
struct SweepPointFacts {
  std::string name;
  RunFolder run;
  std::vector<std::pair<std::string, std::string>> values;  // config key → value, as written
  std::vector<std::string> overrides;
  std::string state;  // done | running | stopped | failed | wrong (its config) | waiting
  int exit_code = 0;  // of a failed point
  std::string error;  // one line: why it failed or is wrong
  int64_t steps = 0;  // planned
};

constexpr double kNoScore = std::numeric_limits<double>::quiet_NaN();

// A score over one run: the best value, when it was reached, and the last one. NaN: none.
struct SweepScore {
  double best = kNoScore, last = kNoScore;
  int64_t best_step = 0;
};

struct SweepRow {
  SweepPointFacts facts;
  Metrics metrics;
  int64_t rank = 0;  // from 1; 0: no score to rank by
  int64_t step = 0;  // reached
  double seconds = 0;
  SweepScore train_loss, train_accuracy;                   // over logged steps
  std::vector<std::pair<std::string, SweepScore>> scores;  // of evaluations
  const SweepScore* score(const std::string& name) const;
};

struct SweepResults {
  std::string name;
  std::vector<std::string> rank_by;  // scores; the first one orders the table
  std::vector<std::string> keys;     // that points vary, in the order of the file
  std::vector<SweepRow> rows;        // best first
};

// The winner of a score: the row with its best value, nullptr if no row has it.
const SweepRow* winner(const SweepResults& results, const std::string& score);

// Reads metrics, ranks. Evaluations declare which scores are better when smaller. Without
// `rank_by`: validation_loss (else the first score there is) and the accuracy, if there is one.
SweepResults read_sweep_results(const std::string& name, const std::vector<std::string>& rank_by,
                                const std::vector<std::string>& keys,
                                std::vector<SweepPointFacts> points);

// The ranked table and the winners, as text of at most `most_rows` rows.
std::string sweep_table(const SweepResults& results, size_t most_rows);
std::string sweep_csv(const SweepResults& results);
std::string sweep_json(const SweepResults& results);
// One self-contained HTML page with the table, the curves and what failed.
std::string sweep_page(const SweepResults& results, const std::filesystem::path& folder);

// results.csv, results.json and report.html in `folder`. Throws EnvironmentError.
void write_sweep_results(const SweepResults& results, const std::filesystem::path& folder);

}  // namespace lockstep
