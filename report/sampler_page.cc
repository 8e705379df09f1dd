// The page of `lockstep bench sampler`.
#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "report/html.h"
#include "report/page_parts.h"
#include "report/sampler_report.h"
#include "report/svg_chart.h"

namespace lockstep {
namespace {

constexpr size_t kSamplerColours = 6;

// Rows that differ in their steps alone share a line of the charts.
std::string series_name(const SamplerRow& row) {
  return fmt::format("{} {}{}{}", row.sampler, row.precision,
                     row.attention == "auto" ? "" : " " + row.attention,
                     row.graph == "on" ? " graph" : "");
}

using Value = double (*)(const SamplerRow&);

// One line a series: `x` against `y` of the measured rows that have an error.
std::string chart(const SamplerReport& report, Value x, Value y, const ChartOptions& options) {
  std::vector<ChartSeries> series;
  std::vector<std::string> names;
  for (const SamplerRow& row : report.rows) {
    if (!row.problem.empty() || !row.error) continue;
    const std::string name = series_name(row);
    const auto known = std::find(names.begin(), names.end(), name);
    if (known == names.end()) {
      names.push_back(name);
      const size_t number = series.size();
      series.push_back(
          {name, number < kSamplerColours ? fmt::format("line s{}", number) : "raw rest", {}});
    }
    const auto at =
        static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    series[at].points.push_back({x(row), y(row)});
  }
  for (ChartSeries& one : series)
    std::sort(one.points.begin(), one.points.end(),
              [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; });
  return draw_chart(series, {}, options);
}

std::string charts(const SamplerReport& report) {
  const auto seconds = [](const SamplerRow& row) { return 1 / row.images_per_second; };
  const auto steps = [](const SamplerRow& row) { return static_cast<double>(row.steps); };
  const auto error = [](const SamplerRow& row) { return row.error.value_or(0); };
  const auto rate = [](const SamplerRow& row) { return row.images_per_second; };
  ChartOptions by_time{"Error against time", "RMSE to the reference; across: seconds a picture"};
  by_time.log_y = by_time.log_x = by_time.dots = true;
  ChartOptions by_steps{"Error against steps", "RMSE to the reference; across: network passes"};
  by_steps.log_y = by_steps.log_x = by_steps.dots = true;
  ChartOptions speed{"Pictures a second", "across: network passes"};
  speed.log_y = speed.log_x = speed.dots = true;
  const std::string out = chart(report, seconds, error, by_time) +
                          chart(report, steps, error, by_steps) + chart(report, steps, rate, speed);
  return out.empty() ? "" : "<div class=charts>" + out + "</div>\n";
}

std::string rows(const SamplerReport& report) {
  std::string out = "<div class=scroll><table><tr>";
  for (const char* name : {"sampler", "steps", "precision", "graph", "attention", "ms a draw",
                           "std", "p50", "p90", "p99", "CPU ms", "pictures/s", "steps/s", "network",
                           "peak MB", "× reference", "error", "FID"})
    out += fmt::format("<th>{}</th>", name);
  out += "</tr>";
  for (const SamplerRow& row : report.rows) {
    out += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
                       escape_html(row.sampler), row.steps, escape_html(row.precision),
                       escape_html(row.graph), escape_html(row.attention));
    if (!row.problem.empty()) {
      out += "<td colspan=13 class=text>" + escape_html(row.problem) + "</td></tr>";
      continue;
    }
    out += fmt::format(
        "<td>{:.4g}</td><td>{:.2g}</td><td>{:.4g}</td><td>{:.4g}</td><td>{:.4g}</td><td>{:.4g}</"
        "td><td>{:.4g}</td><td>{:.4g}</td>"
        "<td>{}</td><td>{:.2f}</td><td>{:.4g}</td><td{}>{}</td><td>{}</td></tr>",
        row.draw.mean, row.draw.deviation, row.draw.p50, row.draw.p90, row.draw.p99, row.cpu_ms,
        row.images_per_second, row.steps_per_second,
        std::isfinite(row.network_share) ? fmt::format("{:.1f} %", 100 * row.network_share) : "–",
        row.peak_megabytes, row.faster, row.is_best ? " class=best" : "",
        row.error       ? fmt::format("{:.3g}", *row.error)
        : row.is_random ? "random"
                        : "–",
        row.fid ? fmt::format("{:.3f}", *row.fid) : "–");
  }
  return out + "</table></div>\n";
}

}  // namespace

std::string sampler_report_page(const SamplerReport& report) {
  Facts facts(report.facts.begin(), report.facts.end());
  std::string body = "<h1>Samplers side by side</h1>\n";
  if (report.is_random)
    body +=
        "<div class=problem><b>Random weights.</b> Times hold; errors and FID say nothing about a "
        "trained model.</div>\n";
  if (!report.is_complete) body += "<div class=problem><b>Stopped.</b> Rows are missing.</div>\n";
  body += html_section("charts", "Quality against time", charts(report));
  body += html_section("rows", "All rows", rows(report));
  body += fmt::format(
      "<p class=note>A draw is {} pictures, {} times. Error: root of the mean squared difference "
      "of the pictures (0 to 1) to {} "
      "steps of dpmpp_2m in fp32 from the same start noise ({:.4g} ms a picture). ★: no other row "
      "is both faster and closer. "
      "Random: the sampler adds noise of its own.</p>\n",
      report.batch, report.repeats, report.reference_steps, report.reference_ms_per_image);
  body += html_section("facts", "Model and machine", facts_table(facts));
  return html_page("Lockstep: samplers side by side", body);
}

}  // namespace lockstep
