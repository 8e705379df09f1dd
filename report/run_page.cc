// report.html of one run.
#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "core/files.h"
#include "report/html.h"
#include "report/page_parts.h"
#include "report/report.h"

namespace lockstep {
namespace {

constexpr size_t kCurvePoints = 320;   // of a thinned curve
constexpr size_t kStripPictures = 12;  // earlier pictures in the strip
constexpr size_t kTableRows = 12;      // evaluations shown without a click

std::string card(const std::string& value, const std::string& what) {
  return "<div class=card><b>" + escape_html(value) + "</b><span>" + escape_html(what) +
         "</span></div>";
}

std::string header(const RunFacts& facts) {
  std::string out = "<h1>" + escape_html(facts.name);
  if (!facts.state.empty())
    out += "<span class='state " + escape_html(facts.state) + "'>" + escape_html(facts.state) +
           "</span>";
  out += "</h1>\n<p class=path>" + escape_html(fact(facts.environment, "command")) + " &nbsp; " +
         escape_html(fact(facts.environment, "time")) + " &nbsp; " +
         escape_html(fact(facts.environment, "host")) + "</p>\n";
  out += "<div class=cards>";
  out += card(count_text(facts.step),
              facts.steps > 0 ? "of " + count_text(facts.steps) + " steps" : "steps");
  const Metrics& metrics = facts.metrics;
  if (!metrics.steps.empty()) {
    const double loss = metrics.steps.back().value("loss");
    if (std::isfinite(loss)) out += card(score_text(loss), "loss, last step");
    out += card(duration_text(metrics.seconds()), "training time");
  }
  const auto speed = points_of(metrics, "samples_per_second");
  if (!speed.empty()) {
    std::vector<double> values;
    for (const ChartPoint& point : speed)
      if (std::isfinite(point.y)) values.push_back(point.y);
    std::nth_element(values.begin(),
                     values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    out += card(count_text(std::llround(values[values.size() / 2])), "samples per second, median");
  }
  const std::string ranks = fact(facts.plan, "ranks");
  if (!ranks.empty())
    out += card(ranks + " × " + fact(facts.plan, "threads_per_rank"),
                "ranks × threads, " + fact(facts.plan, "device"));
  if (!metrics.evaluations.empty()) {
    size_t left = 4;
    for (const auto& [name, value] : metrics.evaluations.back().scores) {
      if (name == "seconds" || left == 0) continue;
      --left;
      out += card(score_text(name, value), name);
    }
  }
  return out + "</div>\n";
}

std::string problems(const RunFacts& facts) {
  std::string out;
  if (!facts.error.empty()) {
    const std::string message = fact(facts.error, "message");
    out += "<div class=problem><b>attempt " + escape_html(fact(facts.error, "attempt")) +
           " failed</b><pre>" + escape_html(message.empty() ? fact(facts.error, "fact") : message) +
           "</pre><span class=soft>exit code " + escape_html(fact(facts.error, "exit_code")) +
           ", newest checkpoint " +
           escape_html(fact(facts.error, "checkpoint").empty() ? "none"
                                                               : fact(facts.error, "checkpoint")) +
           "</span></div>";
  }
  int64_t not_finite = 0, first = 0;
  for (const StepLine& line : facts.metrics.steps) {
    if (std::isfinite(line.value("loss"))) continue;
    if (++not_finite == 1) first = line.step;
  }
  if (not_finite > 0)
    out += fmt::format(
        "<div class=problem>{} logged steps have no finite loss, the first is step {}</div>",
        not_finite, first);
  return html_section("problems", "Problems", out);
}

std::string damaged_lines(const Metrics& metrics) {
  constexpr size_t kShown = 10;
  std::string out;
  for (size_t i = 0; i < metrics.bad.size() && i < kShown; ++i) {
    const BadLine& bad = metrics.bad[i];
    out += fmt::format(
        "<p class=note><b>line {} of metrics.jsonl</b>, after step {}: {}. It is left out.</p>",
        bad.line, count_text(bad.after_step), escape_html(bad.reason));
  }
  if (metrics.bad.size() > kShown)
    out += fmt::format("<p class=note>and {} more damaged lines</p>", metrics.bad.size() - kShown);
  return out;
}

std::string pictures(const RunFacts& facts) {
  if (facts.pictures.empty()) return "";
  std::string out;
  const Picture& newest = facts.pictures.back();
  const std::string picture = inline_picture(newest);
  const auto caption = [](const Picture& one) {
    return one.step >= 0 ? "step " + count_text(one.step)
                         : escape_html(one.path.filename().string());
  };
  out +=
      "<figure class=picture>" +
      (picture.empty() ? "<p class=soft>" + escape_html(newest.path.string()) + " is no picture</p>"
                       : picture) +
      "<figcaption>" + caption(newest) + "</figcaption></figure>\n";
  const size_t earlier = facts.pictures.size() - 1, shown = std::min(earlier, kStripPictures);
  std::string strip;
  for (size_t i = 0; i < shown; ++i) {
    const Picture& one = facts.pictures[i * earlier / shown];
    strip +=
        "<figure>" + inline_picture(one) + "<figcaption>" + caption(one) + "</figcaption></figure>";
  }
  if (!strip.empty()) out += "<div class=strip>" + strip + "</div>\n";
  return html_section("samples", "Samples", out);
}

// The row with the best value of a column, -1 if there is only one row.
int best_row(const Metrics& metrics, const std::string& name) {
  int best = -1;
  for (size_t i = 0; i < metrics.evaluations.size(); ++i) {
    const double value = score(metrics.evaluations[i], name);
    if (!std::isfinite(value)) continue;
    const double other =
        best < 0 ? value : score(metrics.evaluations[static_cast<size_t>(best)], name);
    if (best < 0 || (metrics.smaller_is_better.contains(name) ? value < other : value > other))
      best = static_cast<int>(i);
  }
  return metrics.evaluations.size() > 1 ? best : -1;
}

std::string scores_table(const RunFacts& facts, const std::vector<std::string>& names) {
  const auto& evaluations = facts.metrics.evaluations;
  std::string head = "<tr><th>step</th>", target_row = "<tr class=target><td>target</td>";
  std::map<std::string, double> targets(facts.targets.begin(), facts.targets.end());
  for (const std::string& name : names) {
    head += "<th>" + escape_html(name) + "</th>";
    const auto target = targets.find(name);
    target_row +=
        "<td>" +
        (target == targets.end() ? ""
                                 : (facts.metrics.smaller_is_better.contains(name) ? "≤ " : "≥ ") +
                                       score_text(name, target->second)) +
        "</td>";
  }
  head += "</tr>";
  if (!targets.empty()) head += target_row + "</tr>";
  std::vector<std::string> rows;
  for (size_t i = evaluations.size(); i-- > 0;) {
    std::string row = std::string("<tr") + (i + 1 == evaluations.size() ? " class=newest" : "") +
                      "><td>" + count_text(evaluations[i].step) + "</td>";
    for (const std::string& name : names) {
      const double value = score(evaluations[i], name);
      const auto target = targets.find(name);
      const bool met = target != targets.end() &&
                       (facts.metrics.smaller_is_better.contains(name) ? value <= target->second
                                                                       : value >= target->second);
      const bool best = best_row(facts.metrics, name) == static_cast<int>(i);
      row += fmt::format("<td class='{}{}'>{}</td>", met ? "met " : "", best ? "best" : "",
                         score_text(name, value));
    }
    rows.push_back(row + "</tr>");
  }
  std::string out = "<div class=scroll><table>" + head;
  for (size_t i = 0; i < rows.size() && i < kTableRows; ++i) out += rows[i];
  out += "</table></div>\n";
  if (rows.size() > kTableRows) {
    out +=
        fmt::format("<details><summary>{} earlier evaluations</summary><div class=scroll><table>{}",
                    rows.size() - kTableRows, head);
    for (size_t i = kTableRows; i < rows.size(); ++i) out += rows[i];
    out += "</table></div></details>\n";
  }
  return out;
}

// Scores whose names differ behind the last '.', '/' or '_' share a chart: solve_rate_easy, _hard.
std::string group_of(const std::string& name) {
  const size_t at = name.find_last_of("./_");
  return at == std::string::npos || at == 0 ? name : name.substr(0, at);
}

std::string score_charts(const RunFacts& facts, const std::vector<std::string>& names) {
  if (facts.metrics.evaluations.size() < 2) return "";
  std::vector<std::vector<std::string>> groups;
  for (const std::string& name : names) {
    const auto same = [&](const std::vector<std::string>& group) {
      return group_of(group[0]) == group_of(name) && is_share(group[0]) == is_share(name) &&
             group.size() < 6;
    };
    const auto found = std::find_if(groups.begin(), groups.end(), same);
    if (found == groups.end())
      groups.push_back({name});
    else
      found->push_back(name);
  }
  std::string out;
  for (const auto& group : groups) {
    std::vector<ChartSeries> series;
    for (size_t i = 0; i < group.size(); ++i) {
      const std::string shown =
          group.size() == 1
              ? ""
              : group[i].substr(std::min(group[i].size(), group_of(group[i]).size() + 1));
      ChartSeries one{shown, fmt::format("line s{}", i), {}};
      for (const EvaluationLine& evaluation : facts.metrics.evaluations)
        one.points.push_back({static_cast<double>(evaluation.step), score(evaluation, group[i])});
      series.push_back(std::move(one));
    }
    out += draw_chart(
        series, {},
        {group.size() == 1 ? group[0] : group_of(group[0]), "", false, false, is_share(group[0])});
  }
  return out.empty() ? "" : "<div class=charts style='margin-top:12px'>" + out + "</div>\n";
}

std::vector<ChartMark> marks_of(const Metrics& metrics) {
  std::vector<ChartMark> marks;
  for (const EvaluationLine& evaluation : metrics.evaluations) {
    std::string text = "evaluation at step " + count_text(evaluation.step);
    for (const auto& [name, value] : evaluation.scores)
      if (name != "seconds") text += "\n" + name + " " + score_text(name, value);
    marks.push_back({static_cast<double>(evaluation.step), "evaluation", text});
  }
  for (const AttemptLine& attempt : metrics.attempts) {
    if (attempt.attempt == 0) continue;
    marks.push_back({static_cast<double>(attempt.step), "attempt",
                     fmt::format("attempt {} from step {} on {} ranks", attempt.attempt,
                                 attempt.step, attempt.ranks)});
  }
  for (const BadLine& bad : metrics.bad)
    marks.push_back({static_cast<double>(bad.after_step), "bad", "damaged line: " + bad.reason});
  return marks;
}

std::vector<ChartSeries> raw_and_smooth(const std::vector<ChartPoint>& points) {
  std::vector<ChartSeries> series;
  const bool many = points.size() > 40;
  if (many) series.push_back({"logged", "raw s0", thinned(points, kCurvePoints)});
  series.push_back(
      {many ? "smoothed" : "", "line s0",
       many ? thinned(smoothed(points, static_cast<double>(points.size()) / 40), kCurvePoints)
            : points});
  return series;
}

std::string curves(const RunFacts& facts) {
  const Metrics& metrics = facts.metrics;
  const auto marks = marks_of(metrics);
  std::string out = chart_with_log("loss-log", raw_and_smooth(points_of(metrics, "loss")), marks,
                                   {"loss", "mean over the global batch"});
  out +=
      chart_with_log("lr-log", {{"", "line s0", thinned(points_of(metrics, "lr"), kCurvePoints)}},
                     {}, {"learning rate", "", false, true});
  out += chart_with_log("norm-log", raw_and_smooth(points_of(metrics, "grad_norm")), {},
                        {"gradient norm", "before clipping"});
  out += draw_chart(raw_and_smooth(points_of(metrics, "samples_per_second")), {},
                    {"samples per second", "", false, true});
  out += draw_chart(raw_and_smooth(points_of(metrics, "tokens_per_second")), {},
                    {"tokens per second", "", false, true});
  std::vector<ChartSeries> times;
  const std::pair<const char*, const char*> kTimes[] = {
      {"step_seconds", "whole step"},
      {"data_wait_seconds", "waiting for data"},
      {"comm_exposed_seconds", "waiting for other ranks"}};
  for (size_t i = 0; i < 3; ++i) {
    const auto points = points_of(metrics, kTimes[i].first);
    if (!points.empty())
      times.push_back(
          {kTimes[i].second, fmt::format("line s{}", i),
           thinned(smoothed(points, static_cast<double>(points.size()) / 40), kCurvePoints)});
  }
  out += draw_chart(times, {}, {"seconds a step", "", false, true});
  auto memory = points_of(metrics, "memory_bytes");
  for (ChartPoint& point : memory) point.y /= 1e9;
  out += draw_chart({{"", "line s0", thinned(memory, kCurvePoints)}}, {},
                    {"memory", "GB, rank 0", false, true});
  if (out.empty())
    return html_section("curves", "Training",
                        "<p class=soft>no step was logged yet</p>" + damaged_lines(metrics));
  std::string legend;
  if (!metrics.evaluations.empty()) legend += "▲ evaluation ";
  if (!metrics.bad.empty()) legend += "<span style='color:var(--bad)'>|</span> damaged line ";
  if (metrics.attempts.size() > 1) legend += "┆ resumed or restarted ";
  return html_section("curves", "Training",
                      (legend.empty() ? "" : "<p class=soft>" + legend + "</p>") +
                          "<div class=charts>" + out + "</div>\n" + damaged_lines(metrics));
}

std::string checkpoints(const RunFacts& facts) {
  if (facts.checkpoints.empty()) return "";
  std::string out = "<div class=scroll><table><tr><th>checkpoint</th><th>size</th><th></th></tr>";
  for (const CheckpointFact& one : facts.checkpoints) {
    const char* note = !one.complete ? "incomplete: never used" : one.latest ? "latest" : "";
    out += "<tr><td>" + escape_html(one.name) + "</td><td>" +
           bytes_text(static_cast<double>(one.bytes)) + "</td><td>" + note + "</td></tr>";
  }
  return html_section("checkpoints", "Checkpoints", out + "</table></div>\n");
}

std::string attempts(const RunFacts& facts) {
  if (facts.metrics.attempts.size() < 2) return "";
  std::string out =
      "<div class=scroll><table><tr><th>attempt</th><th>from "
      "step</th><th>ranks</th><th>slots</th></tr>";
  for (const AttemptLine& one : facts.metrics.attempts) {
    out += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", one.attempt,
                       count_text(one.step), one.ranks, one.slots);
  }
  return html_section("attempts", "Attempts", out + "</table></div>\n");
}

}  // namespace

void write_report(const RunFolder& run) {
  const RunFacts facts = read_run_facts(run);
  const std::vector<std::string> names = score_names({&facts.metrics});
  std::string body = header(facts) + problems(facts) + pictures(facts);
  if (!names.empty())
    body +=
        html_section("scores", "Scores", scores_table(facts, names) + score_charts(facts, names));
  body += curves(facts) + attempts(facts) + checkpoints(facts);
  body +=
      html_section("config", "Config, with the source of each value", config_text(facts.config));
  body += html_section("plan", "Plan", facts_table(facts.plan));
  body += html_section("machine", "Machine and versions", facts_table(facts.environment));
  write_file_atomic(run.report(), html_page(facts.name, body));
}

}  // namespace lockstep
