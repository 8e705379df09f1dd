// The HTML page of a sweep: winners, ranked table, curves, what failed.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "report/html.h"
#include "report/page_parts.h"
#include "report/run_facts.h"
#include "report/sweep_results.h"

namespace lockstep {
namespace {

constexpr size_t kPointColours = 6;  // so many best points have a colour of their own
constexpr size_t kSweepCurvePoints = 200;

std::string point_class(size_t row) {
  return row < kPointColours ? fmt::format("line s{}", row) : "raw rest";
}

// The best points last, so that they are drawn above the others.
template <class MakePoints>
std::vector<ChartSeries> series_of(const SweepResults& results, bool named,
                                   MakePoints make_points) {
  std::vector<ChartSeries> series;
  for (size_t i = results.rows.size(); i-- > 0;) {
    const SweepRow& row = results.rows[i];
    series.push_back(
        {named && i < kPointColours ? row.facts.name : "", point_class(i), make_points(row)});
  }
  return series;
}

std::string curves(const SweepResults& results) {
  const auto train = [](const char* name) {
    return [name](const SweepRow& row) {
      auto points = points_of(row.metrics, name);
      if (points.size() > 40) points = smoothed(points, static_cast<double>(points.size()) / 40);
      return thinned(points, kSweepCurvePoints);
    };
  };
  std::string out;
  for (const std::string& name : results.rank_by) {
    out += draw_chart(
        series_of(results, false,
                  [&](const SweepRow& row) {
                    std::vector<ChartPoint> points;
                    for (const EvaluationLine& line : row.metrics.evaluations)
                      points.push_back({static_cast<double>(line.step), score(line, name)});
                    std::erase_if(points,
                                  [](const ChartPoint& point) { return std::isnan(point.y); });
                    return points;
                  }),
        {}, {name, "", false, false, is_share(name)});
  }
  out += chart_with_log("loss-log", series_of(results, false, train("loss")), {},
                        {"training loss", "smoothed"});
  out += draw_chart(series_of(results, false, train("accuracy")), {},
                    {"training accuracy", "smoothed", false, false, true});
  if (out.empty()) return "";
  const std::string note =
      results.rows.size() > kPointColours
          ? fmt::format("<p class=note>The {} best points have colours, the others are grey.</p>\n",
                        kPointColours)
          : "";
  return note + "<div class=charts>" + out + "</div>\n";
}

std::string cards(const SweepResults& results) {
  std::string out = "<div class=cards>";
  const auto card = [&](const std::string& value, const std::string& what) {
    out += "<div class=card><b>" + escape_html(value) + "</b><span>" + escape_html(what) +
           "</span></div>";
  };
  const auto count = [&](const char* state) {
    return std::count_if(results.rows.begin(), results.rows.end(),
                         [&](const SweepRow& row) { return row.facts.state == state; });
  };
  card(fmt::format("{} of {}", count("done"), results.rows.size()), "points done");
  if (count("failed") + count("wrong") > 0)
    card(std::to_string(count("failed") + count("wrong")), "failed");
  for (const std::string& name : results.rank_by)
    if (const SweepRow* best = winner(results, name))
      card(score_text(name, best->score(name)->best), "best " + name + ": " + best->facts.name);
  return out + "</div>\n";
}

std::string point_cell(const SweepRow& row, size_t i, const std::filesystem::path& folder) {
  const std::string name = escape_html(row.facts.name);
  std::error_code missing;
  const bool linked = std::filesystem::exists(row.facts.run.report(), missing);
  const std::string link = escape_html(
      std::filesystem::path(row.facts.run.report()).lexically_relative(folder).string());
  const std::string key = i < kPointColours && row.rank > 0
                              ? "<span class=key><i class='" + point_class(i) + "'></i></span>"
                              : "";
  return "<td class=text>" + key + (linked ? "<a href='" + link + "'>" + name + "</a>" : name) +
         "</td>";
}

std::string table(const SweepResults& results, const std::filesystem::path& folder) {
  std::string out =
      "<div class=scroll><table><tr><th>rank</th><th "
      "style='text-align:left'>point</th><th>state</th>";
  for (const std::string& key : results.keys) out += "<th>" + escape_html(key) + "</th>";
  for (const std::string& name : results.rank_by)
    out += "<th>best " + escape_html(name) + "</th><th>at step</th><th>last</th>";
  out += "<th>least training loss</th><th>step</th><th>time</th></tr>";
  for (size_t i = 0; i < results.rows.size(); ++i) {
    const SweepRow& row = results.rows[i];
    out += "<tr><td>" + (row.rank > 0 ? std::to_string(row.rank) : "–") + "</td>" +
           point_cell(row, i, folder) + "<td>" + escape_html(row.facts.state) + "</td>";
    for (const std::string& key : results.keys)
      out += "<td>" + escape_html(fact(row.facts.values, key)) + "</td>";
    for (const std::string& name : results.rank_by) {
      const SweepScore* one = row.score(name);
      if (one == nullptr || std::isnan(one->best)) {
        out += "<td>–</td><td>–</td><td>–</td>";
        continue;
      }
      const bool best = winner(results, name) == &row;
      out += fmt::format("<td{}>{}</td><td>{}</td><td>{}</td>", best ? " class=best" : "",
                         score_text(name, one->best), count_text(one->best_step),
                         score_text(name, one->last));
    }
    out += "<td>" +
           (std::isnan(row.train_loss.best) ? std::string("–") : score_text(row.train_loss.best)) +
           "</td><td>" + count_text(row.step) + "</td><td>" + duration_text(row.seconds) +
           "</td></tr>";
  }
  return out + "</table></div>\n";
}

std::string problems(const SweepResults& results) {
  std::string out;
  for (const SweepRow& row : results.rows) {
    if (row.facts.error.empty()) continue;
    out += "<div class=problem><b>" + escape_html(row.facts.name) + "</b> " +
           escape_html(row.facts.state) + fmt::format(", exit code {}<pre>", row.facts.exit_code) +
           escape_html(row.facts.error) + "</pre></div>\n";
  }
  return out;
}

}  // namespace

std::string sweep_page(const SweepResults& results, const std::filesystem::path& folder) {
  std::string body = "<h1>" + escape_html(results.name) + "</h1>\n<p class=path>" +
                     escape_html(folder.string()) + "</p>\n" + cards(results);
  body += html_section("problems", "What failed", problems(results));
  body += html_section("points", "Points", table(results, folder));
  body += html_section("curves", "Curves", curves(results));
  return html_page("Lockstep sweep: " + results.name, body);
}

}  // namespace lockstep
