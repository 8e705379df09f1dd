// `lockstep runs` and `lockstep logs`: what lies in run folders, without touching it.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "launcher/command_line.h"
#include "launcher/commands.h"
#include "launcher/ranks/failure.h"
#include "launcher/ranks/run_lock.h"
#include "launcher/ranks/status_file.h"
#include "report/metrics_file.h"

namespace lockstep {
namespace {

struct Row {
  std::string path, state, score;
  int64_t step = 0, steps = 0;
};

int64_t planned_steps(const RunFolder& run) {
  const auto json = nlohmann::json::parse(read_file(run.plan(), 1 << 24), nullptr, false);
  return json.is_object() && json.contains("steps") && json["steps"].is_number()
             ? json["steps"].get<int64_t>()
             : 0;
}

Row describe(const RunFolder& run) {
  const RunStatus status = read_status(run);
  Row row{run.root.string(), status.state, "", status.step, planned_steps(run)};
  const bool should_live = status.state == "running" || status.state == "starting";
  if (is_locked(run)) {
    row.state = "running";
  } else if (should_live) {
    row.state = "dead";
  }
  const Metrics metrics = read_metrics(run);
  if (!metrics.steps.empty()) row.step = std::max(row.step, metrics.steps.back().step);
  row.score = newest_scores(metrics, 2);
  return row;
}

// Runs lie at most two levels below the folder: FOLDER/NAME/TIME.
void collect(const fs::path& folder, int levels, std::vector<RunFolder>& runs) {
  const RunFolder here{folder};
  if (here.holds_run()) {
    runs.push_back(here);
    return;
  }
  std::error_code error;
  if (levels == 0) return;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored)) collect(it->path(), levels - 1, runs);
  }
}

}  // namespace

int runs_command(const std::vector<std::string>& arguments) {
  const RunsFlags flags = read_runs_flags(arguments);
  std::error_code missing;
  if (!fs::is_directory(flags.folder, missing)) {
    throw ConfigError("there is no folder " + flags.folder,
                      "`lockstep runs FOLDER` looks elsewhere");
  }
  std::vector<RunFolder> runs;
  collect(flags.folder, 2, runs);
  std::sort(runs.begin(), runs.end(),
            [](const RunFolder& a, const RunFolder& b) { return a.root < b.root; });
  std::vector<Row> rows;
  size_t width = 4;
  for (const RunFolder& run : runs) {
    rows.push_back(describe(run));
    width = std::max(width, rows.back().path.size());
  }
  if (!flags.json && rows.empty()) std::printf("no runs in %s\n", flags.folder.c_str());
  if (!flags.json && !rows.empty())
    std::printf("%-*s  %-8s %15s  %s\n", static_cast<int>(width), "run", "state", "step", "score");
  for (const Row& row : rows) {
    if (flags.json) {
      const nlohmann::ordered_json json{{"run", row.path},
                                        {"state", row.state},
                                        {"step", row.step},
                                        {"steps", row.steps},
                                        {"score", row.score}};
      std::printf("%s\n", json.dump().c_str());
      continue;
    }
    const std::string step = std::to_string(row.step) + "/" + std::to_string(row.steps);
    std::printf("%-*s  %-8s %15s  %s\n", static_cast<int>(width), row.path.c_str(),
                row.state.c_str(), step.c_str(), row.score.c_str());
  }
  return 0;
}

int logs_command(const std::vector<std::string>& arguments) {
  const LogsFlags flags = read_logs_flags(arguments);
  const RunFolder run = RunFolder::find(flags.run);
  const int attempt = flags.attempt ? static_cast<int>(*flags.attempt) : run.next_attempt() - 1;
  if (attempt < 0) throw ConfigError(run.root.string() + " has no logs: it was never started");
  int rank = 0;
  std::error_code missing;
  const fs::path error_path = run.attempt(attempt) / "error.json";
  if (flags.rank) {
    rank = static_cast<int>(*flags.rank);
  } else if (fs::exists(error_path, missing)) {
    const auto json = nlohmann::json::parse(read_file(error_path, 1 << 20), nullptr, false);
    if (json.is_object()) rank = std::max(0, json.value("rank", 0));
  }
  const fs::path path = run.rank_log(attempt, rank);
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw ConfigError("rank " + std::to_string(rank) + " of attempt " + std::to_string(attempt) +
                          " has no log: " + path.string(),
                      "`ls " + run.attempt(attempt).string() + "` shows which there are");
  }
  std::fprintf(stderr, "%s\n", path.c_str());
  if (flags.lines > 0) {
    for (const std::string& line : last_lines(path, static_cast<size_t>(flags.lines)))
      std::printf("%s\n", line.c_str());
    return 0;
  }
  for (std::string line; std::getline(file, line);) std::printf("%s\n", line.c_str());
  return 0;
}

}  // namespace lockstep
