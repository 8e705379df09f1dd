#include "report/metrics_file.h"

#include <cmath>
#include <limits>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/files.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

double number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : 0.0;
}

// Non-finite numbers are no JSON; writers put them down as null or as words.
bool as_number(const Json& value, double& out) {
  if (value.is_number()) {
    out = value.get<double>();
  } else if (value.is_null() || value == "nan" || value == "NaN" || value == "inf" ||
             value == "-inf") {
    out = std::numeric_limits<double>::quiet_NaN();
  } else {
    return false;
  }
  return true;
}

void flatten(const Json& json, const std::string& prefix,
             std::vector<std::pair<std::string, double>>& out) {
  for (const auto& [key, value] : json.items()) {
    if (prefix.empty() &&
        (key == "kind" || key == "step" || key == "time" || key == "epoch" || key == "seconds"))
      continue;
    double number = 0;
    if (value.is_object()) {
      flatten(value, prefix + key + ".", out);
    } else if (as_number(value, number)) {
      out.emplace_back(prefix + key, number);
    }
  }
}

// "" if the line was understood.
std::string read_line(const std::string& line, Metrics& metrics) {
  const Json json = Json::parse(line, nullptr, false);
  if (json.is_discarded()) return "no JSON";
  if (!json.is_object()) return "no JSON object";
  const auto kind_at = json.find("kind");
  const std::string kind =
      kind_at != json.end() && kind_at->is_string() ? kind_at->get<std::string>() : "step";
  const auto step_at = json.find("step");
  if (step_at == json.end() || !step_at->is_number_integer()) return "no step";
  const int64_t step = step_at->get<int64_t>();
  if (kind == "evaluation") {
    EvaluationLine out{step, number(json, "time"), {}};
    flatten(json, "", out.scores);
    if (const auto smaller = json.find("smaller_is_better");
        smaller != json.end() && smaller->is_array())
      for (const Json& name : *smaller)
        if (name.is_string()) metrics.smaller_is_better.insert(name.get<std::string>());
    // Several evaluations after one step are one row of scores.
    if (!metrics.evaluations.empty() && metrics.evaluations.back().step == step) {
      auto& scores = metrics.evaluations.back().scores;
      scores.insert(scores.end(), out.scores.begin(), out.scores.end());
    } else {
      metrics.evaluations.push_back(std::move(out));
    }
  } else if (kind == "attempt") {
    metrics.attempts.push_back({static_cast<int>(number(json, "attempt")), step,
                                static_cast<int64_t>(number(json, "ranks")),
                                static_cast<int64_t>(number(json, "slots")), number(json, "time")});
  } else if (kind == "step") {
    StepLine out{step, number(json, "time"), number(json, "epoch"), {}};
    flatten(json, "", out.values);
    metrics.steps.push_back(std::move(out));
  } else {
    return "unknown kind '" + kind + "'";
  }
  return "";
}

}  // namespace

double StepLine::value(const std::string& name) const {
  for (const auto& [key, value] : values)
    if (key == name) return value;
  return std::numeric_limits<double>::quiet_NaN();
}

double Metrics::seconds() const {
  double total = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    // A gap before an attempt's first line is a pause, not training: take that step's own time.
    bool first = i == 0;
    for (const AttemptLine& attempt : attempts)
      first = first || (attempt.time >= steps[i - 1].time && attempt.time <= steps[i].time &&
                        attempt.time > 0);
    const double own = steps[i].value("step_seconds");
    if (first) {
      total += std::isfinite(own) ? own : 0;
    } else {
      total += std::max(0.0, steps[i].time - steps[i - 1].time);
    }
  }
  return total;
}

Metrics parse_metrics(const std::string& text) {
  Metrics metrics;
  std::istringstream lines(text);
  int64_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    ++count;
    if (line.empty()) continue;
    const std::string reason = read_line(line, metrics);
    if (reason.empty()) continue;
    metrics.bad.push_back({count, metrics.steps.empty() ? 0 : metrics.steps.back().step, reason});
  }
  if (!text.empty() && text.back() != '\n' && !metrics.bad.empty() &&
      metrics.bad.back().line == count) {
    metrics.bad.back().reason = "half a line: the run was killed while it wrote";
  }
  return metrics;
}

Metrics read_metrics(const RunFolder& run) {
  std::error_code missing;
  if (!fs::is_regular_file(run.metrics(), missing)) return {};
  return parse_metrics(read_file(run.metrics()));
}

std::string score_text(double value) {
  if (!std::isfinite(value)) return "–";
  const double size = std::fabs(value);
  if (size != 0 && (size < 1e-3 || size >= 1e6)) return fmt::format("{:.3g}", value);
  if (size >= 1000) return fmt::format("{:.0f}", value);
  if (size >= 10) return fmt::format("{:.2f}", value);
  return fmt::format("{:.4f}", value);
}

std::string newest_scores(const Metrics& metrics, size_t count) {
  if (metrics.evaluations.empty()) return "";
  std::string text;
  for (const auto& [name, value] : metrics.evaluations.back().scores) {
    if (count == 0) break;
    --count;
    text += (text.empty() ? "" : ", ") + name + " " + score_text(value);
  }
  return text;
}

}  // namespace lockstep
