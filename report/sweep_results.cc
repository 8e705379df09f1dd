#include "report/sweep_results.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "report/page_parts.h"
#include "report/run_facts.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

void add(SweepScore& score, int64_t step, double value, bool smaller) {
  if (std::isnan(value)) return;
  score.last = value;
  if (!std::isnan(score.best) && !(smaller ? value < score.best : value > score.best)) return;
  score.best = value;
  score.best_step = step;
}

void read_scores(SweepRow& row) {
  for (const StepLine& line : row.metrics.steps) {
    add(row.train_loss, line.step, line.value("loss"), true);
    add(row.train_accuracy, line.step, line.value("accuracy"), false);
    row.step = std::max(row.step, line.step);
  }
  for (const std::string& name : score_names({&row.metrics})) {
    SweepScore one;
    for (const EvaluationLine& line : row.metrics.evaluations)
      add(one, line.step, score(line, name), row.metrics.smaller_is_better.contains(name));
    row.scores.emplace_back(name, one);
  }
  row.seconds = row.metrics.seconds();
}

double best_of(const SweepRow& row, const std::string& name) {
  const SweepScore* one = row.score(name);
  return one == nullptr ? kNoScore : one->best;
}

// A run's own loss, and what an evaluation of any point declares.
bool smaller_is_better(const SweepResults& results, const std::string& score) {
  return score == "train_loss" ||
         std::any_of(results.rows.begin(), results.rows.end(), [&](const SweepRow& row) {
           return row.metrics.smaller_is_better.contains(score);
         });
}

bool is_better(double a, double b, bool smaller) {
  if (std::isnan(a) || std::isnan(b)) return !std::isnan(a) && std::isnan(b);
  return smaller ? a < b : a > b;
}

void rank(SweepResults& results) {
  if (results.rank_by.empty()) return;
  const std::string& by = results.rank_by.front();
  const bool smaller = smaller_is_better(results, by);
  std::stable_sort(results.rows.begin(), results.rows.end(),
                   [&](const SweepRow& a, const SweepRow& b) {
                     return is_better(best_of(a, by), best_of(b, by), smaller);
                   });
  int64_t next = 1;
  for (SweepRow& row : results.rows)
    if (!std::isnan(best_of(row, by))) row.rank = next++;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string csv_number(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "";
}

Json json_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

// 5.0e-4 as a number, words as words.
Json json_value(const std::string& text) {
  const Json value = Json::parse(text, nullptr, false);
  return value.is_number() || value.is_boolean() ? value : Json(text);
}

Json json_score(const SweepScore& one) {
  return {{"best", json_number(one.best)},
          {"best_step", one.best_step},
          {"final", json_number(one.last)}};
}

Json curves(const SweepRow& row) {
  Json train_steps = Json::array(), losses = Json::array(), accuracies = Json::array();
  for (const StepLine& line : row.metrics.steps) {
    train_steps.push_back(line.step);
    losses.push_back(json_number(line.value("loss")));
    if (!std::isnan(row.train_accuracy.best))
      accuracies.push_back(json_number(line.value("accuracy")));
  }
  Json out = {{"train_steps", train_steps}, {"train_loss", losses}};
  if (!accuracies.empty()) out["train_accuracy"] = accuracies;
  Json evaluations = Json::array();
  for (const EvaluationLine& line : row.metrics.evaluations) {
    Json one = {{"step", line.step}};
    for (const auto& [name, value] : line.scores) one[name] = json_number(value);
    evaluations.push_back(one);
  }
  out["evaluations"] = evaluations;
  return out;
}

Json json_row(const SweepRow& row) {
  const SweepPointFacts& facts = row.facts;
  Json values = Json::object(), scores = Json::object();
  for (const auto& [key, value] : facts.values) values[key] = json_value(value);
  for (const auto& [name, one] : row.scores) scores[name] = json_score(one);
  return {{"rank", row.rank > 0 ? Json(row.rank) : Json(nullptr)},
          {"point", facts.name},
          {"folder", facts.run.root.string()},
          {"state", facts.state},
          {"exit_code", facts.exit_code},
          {"error", facts.error.empty() ? Json(nullptr) : Json(facts.error)},
          {"values", values},
          {"overrides", facts.overrides},
          {"step", row.step},
          {"steps", facts.steps},
          {"seconds", row.seconds},
          {"train_loss", json_score(row.train_loss)},
          {"train_accuracy", json_score(row.train_accuracy)},
          {"scores", scores},
          {"curves", curves(row)}};
}

std::vector<std::string> all_scores(const SweepResults& results) {
  std::vector<const Metrics*> metrics;
  for (const SweepRow& row : results.rows) metrics.push_back(&row.metrics);
  return score_names(metrics);
}

std::vector<std::string> usual_scores(const std::vector<std::string>& names) {
  const auto has = [&](const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::vector<std::string> out;
  if (has("validation_loss"))
    out.push_back("validation_loss");
  else if (!names.empty())
    out.push_back(names.front());
  for (const char* name : {"validation_accuracy", "accuracy"})
    if (has(name) && out.size() == 1 && out.front() != name) out.push_back(name);
  return out;
}

// A column of the text table; the first is flush left.
struct Column {
  std::string head;
  std::vector<std::string> cells;
};

size_t width_of(const Column& column, size_t rows) {
  size_t width = column.head.size();
  for (size_t i = 0; i < rows; ++i) width = std::max(width, column.cells[i].size());
  return width;
}

std::vector<Column> table_columns(const SweepResults& results) {
  std::vector<Column> columns{{"rank", {}}, {"point", {}}, {"state", {}}};
  for (const std::string& name : results.rank_by) {
    columns.push_back({name, {}});
    columns.push_back({"at step", {}});
  }
  columns.push_back({"train loss", {}});
  columns.push_back({"steps", {}});
  columns.push_back({"time", {}});
  for (const SweepRow& row : results.rows) {
    std::vector<std::string> cells{row.rank > 0 ? std::to_string(row.rank) : "-", row.facts.name,
                                   row.facts.state};
    for (const std::string& name : results.rank_by) {
      const SweepScore* one = row.score(name);
      const bool none = one == nullptr || std::isnan(one->best);
      cells.push_back(none ? "-" : score_text(one->best));
      cells.push_back(none ? "-" : std::to_string(one->best_step));
    }
    cells.push_back(std::isnan(row.train_loss.best) ? "-" : score_text(row.train_loss.best));
    cells.push_back(std::to_string(row.step) + "/" + std::to_string(row.facts.steps));
    cells.push_back(row.seconds > 0 ? duration_text(row.seconds) : "-");
    for (size_t i = 0; i < columns.size(); ++i) columns[i].cells.push_back(cells[i]);
  }
  return columns;
}

}  // namespace

const SweepScore* SweepRow::score(const std::string& name) const {
  for (const auto& [key, one] : scores)
    if (key == name) return &one;
  return nullptr;
}

const SweepRow* winner(const SweepResults& results, const std::string& score) {
  const SweepRow* best = nullptr;
  for (const SweepRow& row : results.rows)
    if (!std::isnan(best_of(row, score)) &&
        (best == nullptr ||
         is_better(best_of(row, score), best_of(*best, score), smaller_is_better(results, score))))
      best = &row;
  return best;
}

SweepResults read_sweep_results(const std::string& name, const std::vector<std::string>& rank_by,
                                const std::vector<std::string>& keys,
                                std::vector<SweepPointFacts> points) {
  SweepResults results{name, rank_by, keys, {}};
  for (SweepPointFacts& facts : points) {
    SweepRow row;
    row.metrics = read_metrics(facts.run);
    row.facts = std::move(facts);
    read_scores(row);
    results.rows.push_back(std::move(row));
  }
  if (results.rank_by.empty()) results.rank_by = usual_scores(all_scores(results));
  rank(results);
  return results;
}

std::string sweep_table(const SweepResults& results, size_t most_rows) {
  const size_t rows = std::min(most_rows, results.rows.size());
  std::vector<std::string> lines(rows + 1);
  for (const Column& column : table_columns(results)) {
    const size_t width = width_of(column, rows);
    const bool left = column.head == "point" || column.head == "state";
    for (size_t i = 0; i <= rows; ++i) {
      const std::string& cell = i == 0 ? column.head : column.cells[i - 1];
      const std::string space(width - cell.size(), ' ');
      lines[i] += (lines[i].empty() ? "" : "  ") + (left ? cell + space : space + cell);
    }
  }
  std::string out;
  for (std::string& line : lines) {
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + "\n";
  }
  if (rows < results.rows.size())
    out += fmt::format("({} more in results.csv)\n", results.rows.size() - rows);
  for (const std::string& name : results.rank_by) {
    const SweepRow* best = winner(results, name);
    if (best == nullptr) continue;
    out += fmt::format("best {}: {} at step {}, {}\n", name, score_text(best->score(name)->best),
                       best->score(name)->best_step, best->facts.name);
  }
  return out;
}

std::string sweep_csv(const SweepResults& results) {
  std::vector<std::string> head{"rank", "point", "state", "exit_code"};
  head.insert(head.end(), results.keys.begin(), results.keys.end());
  for (const char* name :
       {"step", "steps", "seconds", "min_train_loss", "min_train_loss_step", "final_train_loss"})
    head.push_back(name);
  const std::vector<std::string> names = all_scores(results);
  for (const std::string& name : names)
    for (const char* what : {"best_", "final_"}) {
      head.push_back(what + name);
      if (what[0] == 'b') head.push_back("best_" + name + "_step");
    }
  head.push_back("error");
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    for (size_t i = 0; i < cells.size(); ++i) out += (i > 0 ? "," : "") + csv_cell(cells[i]);
    out += "\n";
  };
  line(head);
  for (const SweepRow& row : results.rows) {
    const SweepPointFacts& facts = row.facts;
    std::vector<std::string> cells{row.rank > 0 ? std::to_string(row.rank) : "", facts.name,
                                   facts.state, std::to_string(facts.exit_code)};
    for (const std::string& key : results.keys) {
      const auto found = std::find_if(facts.values.begin(), facts.values.end(),
                                      [&](const auto& entry) { return entry.first == key; });
      cells.push_back(found == facts.values.end() ? "" : found->second);
    }
    const auto score_cells = [&](const SweepScore& one) {
      cells.push_back(csv_number(one.best));
      cells.push_back(std::isnan(one.best) ? "" : std::to_string(one.best_step));
      cells.push_back(csv_number(one.last));
    };
    for (const std::string& text :
         {std::to_string(row.step), std::to_string(facts.steps), csv_number(row.seconds)})
      cells.push_back(text);
    score_cells(row.train_loss);
    for (const std::string& name : names)
      score_cells(row.score(name) != nullptr ? *row.score(name) : SweepScore{});
    cells.push_back(facts.error);
    line(cells);
  }
  return out;
}

std::string sweep_json(const SweepResults& results) {
  Json winners = Json::object(), points = Json::array();
  for (const std::string& name : results.rank_by) {
    const SweepRow* best = winner(results, name);
    winners[name] = best == nullptr ? Json(nullptr)
                                    : Json{{"point", best->facts.name},
                                           {"value", best->score(name)->best},
                                           {"step", best->score(name)->best_step}};
  }
  for (const SweepRow& row : results.rows) points.push_back(json_row(row));
  const Json json = {{"format", "lockstep-sweep"},
                     {"version", 1},
                     {"name", results.name},
                     {"rank_by", results.rank_by},
                     {"keys", results.keys},
                     {"winners", winners},
                     {"points", points}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void write_sweep_results(const SweepResults& results, const std::filesystem::path& folder) {
  write_file_atomic(folder / "results.csv", sweep_csv(results));
  write_file_atomic(folder / "results.json", sweep_json(results));
  write_file_atomic(folder / "report.html", sweep_page(results, folder));
}

}  // namespace lockstep
