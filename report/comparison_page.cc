// One page with several runs side by side.
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

constexpr size_t kSharedCurvePoints = 320;
constexpr size_t kRunColours = 6;

std::string run_class(size_t i) {
  return fmt::format("line s{}{}", i % kRunColours, i >= kRunColours ? " dashed" : "");
}

std::string overview(const std::vector<RunFacts>& runs, const std::vector<std::string>& names) {
  std::string out =
      "<div "
      "class=scroll><table><tr><th>run</th><th>state</th><th>step</th><th>time</th><th>loss</th>";
  for (const std::string& name : names) out += "<th>" + escape_html(name) + "</th>";
  out += "</tr>";
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunFacts& run = runs[i];
    const Metrics& metrics = run.metrics;
    out += "<tr><td><span class=key><i class='" + run_class(i) + "'></i></span>" +
           escape_html(run.name) + "</td><td>" + escape_html(run.state) + "</td><td>" +
           count_text(run.step) + "</td><td>" + duration_text(metrics.seconds()) + "</td><td>" +
           (metrics.steps.empty() ? "–" : score_text(metrics.steps.back().value("loss"))) + "</td>";
    for (const std::string& name : names) {
      out += "<td>" +
             (metrics.evaluations.empty()
                  ? "–"
                  : score_text(name, score(metrics.evaluations.back(), name))) +
             "</td>";
    }
    out += "</tr>";
  }
  return out + "</table></div>\n";
}

std::vector<ChartSeries> series_of(const std::vector<RunFacts>& runs, const std::string& name,
                                   bool smooth) {
  std::vector<ChartSeries> series;
  for (size_t i = 0; i < runs.size(); ++i) {
    auto points = points_of(runs[i].metrics, name);
    if (smooth && points.size() > 40)
      points = smoothed(points, static_cast<double>(points.size()) / 40);
    series.push_back({runs[i].name, run_class(i), thinned(points, kSharedCurvePoints)});
  }
  return series;
}

std::string curves(const std::vector<RunFacts>& runs, const std::vector<std::string>& names) {
  std::string out =
      chart_with_log("loss-log", series_of(runs, "loss", true), {}, {"loss", "smoothed"});
  for (const std::string& name : names) {
    std::vector<ChartSeries> series;
    for (size_t i = 0; i < runs.size(); ++i) {
      ChartSeries one{"", run_class(i), {}};
      for (const EvaluationLine& evaluation : runs[i].metrics.evaluations)
        one.points.push_back({static_cast<double>(evaluation.step), score(evaluation, name)});
      series.push_back(std::move(one));
    }
    out += draw_chart(series, {}, {name, "", false, false, is_share(name)});
  }
  out += chart_with_log("norm-log", series_of(runs, "grad_norm", true), {},
                        {"gradient norm", "smoothed"});
  out += draw_chart(series_of(runs, "samples_per_second", true), {},
                    {"samples per second", "smoothed", false, true});
  return html_section("curves", "Training",
                      out.empty() ? "" : "<div class=charts>" + out + "</div>\n");
}

// Values that are not the same everywhere; a run without the key shows a dash.
std::string differences(const std::vector<RunFacts>& runs, const std::vector<Facts>& values) {
  std::vector<std::string> keys;
  std::map<std::string, std::vector<std::string>> by_key;
  for (size_t i = 0; i < values.size(); ++i) {
    for (const auto& [key, value] : values[i]) {
      auto [at, added] = by_key.try_emplace(key, runs.size(), "–");
      if (added) keys.push_back(key);
      at->second[i] = value;
    }
  }
  std::string out;
  for (const std::string& key : keys) {
    const auto& row = by_key[key];
    if (std::all_of(row.begin(), row.end(),
                    [&](const std::string& value) { return value == row[0]; }))
      continue;
    out += "<tr><td>" + escape_html(key) + "</td>";
    for (const std::string& value : row) out += "<td class=text>" + escape_html(value) + "</td>";
    out += "</tr>";
  }
  if (out.empty()) return "<p class=soft>none</p>\n";
  std::string head = "<tr><th></th>";
  for (const RunFacts& run : runs)
    head += "<th style='text-align:left'>" + escape_html(run.name) + "</th>";
  return "<div class=scroll><table>" + head + "</tr>" + out + "</table></div>\n";
}

std::string newest_pictures(const std::vector<RunFacts>& runs) {
  std::string out;
  for (const RunFacts& run : runs) {
    const std::string picture = run.pictures.empty() ? "" : inline_picture(run.pictures.back());
    if (!picture.empty())
      out += "<figure class=picture>" + picture + "<figcaption>" + escape_html(run.name) +
             "</figcaption></figure>";
  }
  return html_section("samples", "Newest samples",
                      out.empty() ? "" : "<div class=charts>" + out + "</div>\n");
}

}  // namespace

void write_comparison(const std::vector<RunFolder>& folders, const std::filesystem::path& output) {
  std::vector<RunFacts> runs;
  std::vector<const Metrics*> metrics;
  std::vector<Facts> configs, plans;
  for (const RunFolder& folder : folders) runs.push_back(read_run_facts(folder));
  for (const RunFacts& run : runs) {
    metrics.push_back(&run.metrics);
    configs.push_back(config_values(run.config));
    plans.push_back(run.environment);
  }
  const std::vector<std::string> names = score_names(metrics);
  std::string body = "<h1>" + std::to_string(runs.size()) + " runs</h1>\n<section>" +
                     overview(runs, names) + "</section>\n";
  body += html_section("config", "What differs in their configs", differences(runs, configs));
  body += curves(runs, names) + newest_pictures(runs);
  body += html_section("machine", "What differs in their machines", differences(runs, plans));
  write_file_atomic(output, html_page("Lockstep: " + std::to_string(runs.size()) + " runs", body));
}

}  // namespace lockstep
