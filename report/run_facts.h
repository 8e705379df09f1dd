// Everything a report shows of one run, read from its folder. A missing or damaged file leaves
// its part empty: a report must be possible of any wreck.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/run_folder.h"
#include "report/metrics_file.h"

namespace lockstep {

struct Picture {
  int64_t step = -1;  // -1: not named after a step
  std::filesystem::path path;
};

struct CheckpointFact {
  std::string name;
  uint64_t bytes = 0;
  bool complete = false;  // has a MANIFEST.json
  bool latest = false;
};

using Facts = std::vector<std::pair<std::string, std::string>>;  // name → text, in file order

struct RunFacts {
  RunFolder run;
  std::string name;   // of the run: parent folder and folder
  std::string state;  // of status.json, "" if there is none
  int64_t step = 0, steps = 0;
  int exit_code = 0;
  Metrics metrics;
  Facts plan, environment;  // flattened: "versions.libtorch"
  Facts error;              // of error.json, empty if the run did not fail
  std::vector<std::pair<std::string, double>> targets;  // of plan.json: score → wanted value
  std::string config;                                   // text of config.yaml
  std::vector<Picture> pictures;                        // by step
  std::vector<CheckpointFact> checkpoints;
};

RunFacts read_run_facts(const RunFolder& run);

// "" if there is no such name.
std::string fact(const Facts& facts, const std::string& name);

// A score as the page and the terminal show it: shares in percent ("solve_rate" 0.998 → "99.8 %").
std::string score_text(const std::string& name, double value);
bool is_share(const std::string& name);

// "2 h 05 min", "3 min 12 s", "0.8 s".
std::string duration_text(double seconds);
// "12.3 MB".
std::string bytes_text(double bytes);
// 12 345 → "12,345".
std::string count_text(int64_t count);

}  // namespace lockstep
