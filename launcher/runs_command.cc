// `lockstep runs`: the runs below a folder as a table of experiments. Reads only.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "launcher/command_line.h"
#include "launcher/commands.h"
#include "launcher/ranks/run_lock.h"
#include "launcher/ranks/status_file.h"
#include "report/metrics_file.h"
#include "report/run_facts.h"

namespace lockstep {
namespace {

using ScoreList = std::vector<std::pair<std::string, double>>;

struct RunRow {
  std::string path, state;
  bool dry_run = false;
  int64_t step = 0, steps = 0, bytes = 0;
  double loss = NAN, started = 0, seconds = 0;
  Metrics metrics;
  ScoreList scores;  // of the last evaluation
};

int64_t bytes_below(const fs::path& folder) {
  int64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code none;
    if (it->is_regular_file(none) && !it->is_symlink(none))
      bytes += static_cast<int64_t>(it->file_size(none));
  }
  return bytes;
}

std::string state_of(const RunFolder& run, const RunStatus& status) {
  if (is_locked(run)) return "running";
  return status.state == "running" || status.state == "starting" ? "dead" : status.state;
}

RunRow describe(const RunFolder& run) {
  const RunStatus status = read_status(run);
  RunRow row;
  row.path = run.root.string();
  row.state = state_of(run, status);
  row.step = status.step;
  const auto plan = nlohmann::json::parse(read_file(run.plan(), 1 << 24), nullptr, false);
  if (plan.is_object()) {
    row.steps = plan.value("steps", int64_t{0});
    row.dry_run = plan.value("dry_run", int64_t{0}) != 0;
  }
  row.metrics = read_metrics(run);
  if (!row.metrics.steps.empty()) {
    row.step = std::max(row.step, row.metrics.steps.back().step);
    row.loss = row.metrics.steps.back().value("loss");
    row.started = row.metrics.steps.front().time;
  }
  if (!row.metrics.attempts.empty()) row.started = row.metrics.attempts.front().time;
  row.seconds = row.metrics.seconds();
  if (!row.metrics.evaluations.empty()) row.scores = row.metrics.evaluations.back().scores;
  row.bytes = bytes_below(run.root);
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

// What a row is sorted by: small values first. NaN where it has no such value.
double key_of(const RunRow& row, const std::string& column) {
  if (column == "date") return -row.started;
  if (column == "step") return -static_cast<double>(row.step);
  if (column == "loss") return row.loss;
  if (column == "time") return -row.seconds;
  if (column == "size") return -static_cast<double>(row.bytes);
  for (const auto& [name, value] : row.scores)
    if (name == column) return row.metrics.smaller_is_better.contains(name) ? value : -value;
  return NAN;
}

// ", validation_loss, …" of all rows.
std::string score_names_of(const std::vector<RunRow>& rows) {
  std::set<std::string> names;
  for (const RunRow& row : rows)
    for (const auto& [name, value] : row.scores) names.insert(name);
  std::string out;
  for (const std::string& name : names) out += ", " + name;
  return out;
}

void sort_rows(std::vector<RunRow>& rows, const std::string& column) {
  if (column.empty()) return;
  const bool known = std::any_of(rows.begin(), rows.end(), [&](const RunRow& row) {
    return !std::isnan(key_of(row, column));
  });
  if (!known && !rows.empty())
    throw ConfigError("no run has a column '" + column + "'",
                      "sort by date, step, loss, time, size" + score_names_of(rows));
  std::stable_sort(rows.begin(), rows.end(), [&](const RunRow& a, const RunRow& b) {
    const double x = key_of(a, column), y = key_of(b, column);
    return std::isnan(y) ? !std::isnan(x) : x < y;
  });
}

std::string date_of(double seconds) {
  if (seconds <= 0) return "–";
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  localtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts);
  return text;
}

nlohmann::ordered_json json_of(const RunRow& row) {
  const auto number = [](double value) -> nlohmann::ordered_json {
    if (!std::isfinite(value)) return nullptr;
    return value;
  };
  nlohmann::ordered_json scores = nlohmann::ordered_json::object();
  for (const auto& [name, value] : row.scores) scores[name] = number(value);
  return {{"run", row.path},   {"state", row.state},     {"dry_run", row.dry_run},
          {"step", row.step},  {"steps", row.steps},     {"loss", number(row.loss)},
          {"scores", scores},  {"started", row.started}, {"seconds", row.seconds},
          {"bytes", row.bytes}};
}

std::vector<std::string> cells_of(const RunRow& row) {
  return {row.path,
          row.dry_run ? row.state + " (dry)" : row.state,
          std::to_string(row.step) + "/" + std::to_string(row.steps),
          score_text(row.loss),
          date_of(row.started),
          row.seconds > 0 ? duration_text(row.seconds) : "–",
          bytes_text(static_cast<double>(row.bytes)),
          newest_scores(row.metrics, 3)};
}

// Characters on the screen; all of these texts are one column a character.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

void print_table(const std::vector<RunRow>& rows) {
  std::vector<std::vector<std::string>> lines{
      {"run", "state", "step", "loss", "started", "trained", "size", "scores"}};
  for (const RunRow& row : rows) lines.push_back(cells_of(row));
  std::vector<size_t> widths(lines.front().size());
  for (const auto& line : lines)
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width_of(line[i]));
  for (const auto& line : lines) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i)
      text += line[i] + (i + 1 < line.size() ? std::string(widths[i] - width_of(line[i]) + 2, ' ')
                                             : std::string());
    std::printf("%s\n", text.c_str());
  }
}

}  // namespace

int runs_command(const std::vector<std::string>& arguments) {
  const RunsFlags flags = read_runs_flags(arguments);
  std::error_code missing;
  if (!fs::is_directory(flags.folder, missing))
    throw ConfigError("there is no folder " + flags.folder,
                      "`lockstep runs FOLDER` looks elsewhere");
  std::vector<RunFolder> runs;
  collect(flags.folder, 2, runs);
  std::sort(runs.begin(), runs.end(),
            [](const RunFolder& a, const RunFolder& b) { return a.root < b.root; });
  std::vector<RunRow> rows;
  for (const RunFolder& run : runs) rows.push_back(describe(run));
  sort_rows(rows, flags.sort);
  if (flags.json) {
    // Names of folders may be any bytes; JSON is UTF-8.
    for (const RunRow& row : rows)
      std::printf("%s\n",
                  json_of(row)
                      .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
                      .c_str());
  } else if (rows.empty()) {
    std::printf("no runs in %s\n", flags.folder.c_str());
  } else {
    print_table(rows);
  }
  return 0;
}

}  // namespace lockstep
