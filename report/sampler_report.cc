#include "report/sampler_report.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }
Json number(const std::optional<double>& value) { return value ? number(*value) : Json(); }

Json json_of(const TimeSpread& spread) {
  return {{"count", spread.count},
          {"mean_ms", number(spread.mean)},
          {"std_ms", number(spread.deviation)},
          {"p50_ms", number(spread.p50)},
          {"p90_ms", number(spread.p90)},
          {"p99_ms", number(spread.p99)}};
}

Json json_of(const SamplerRow& row) {
  Json json = {
      {"sampler", row.sampler},     {"steps", row.steps},
      {"precision", row.precision}, {"graph", row.graph},
      {"attention", row.attention}, {"status", row.problem.empty() ? "measured" : "not measured"}};
  if (!row.problem.empty()) {
    json["problem"] = row.problem;
    return json;
  }
  json["draw"] = json_of(row.draw);
  json["step"] = json_of(row.step);
  json["images_per_second"] = number(row.images_per_second);
  json["steps_per_second"] = number(row.steps_per_second);
  json["network_share"] = number(row.network_share);
  json["cpu_ms"] = number(row.cpu_ms);
  json["peak_megabytes"] = number(row.peak_megabytes);
  json["faster_than_reference"] = number(row.faster);
  json["trajectory_error"] = number(row.error);
  json["fid"] = number(row.fid);
  json["best"] = row.is_best;
  return json;
}

double percentile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const double part = at - static_cast<double>(low);
  return low + 1 < sorted.size() ? sorted[low] * (1 - part) + sorted[low + 1] * part : sorted[low];
}

std::string error_text(const SamplerRow& row) {
  return row.error ? fmt::format("{:.3g}", *row.error) : row.is_random ? "random" : "-";
}

std::string line_of(const SamplerRow& row, bool with_fid) {
  const std::string name = fmt::format("{:<9} {:>5}  {:<12} {:<5} {:<9}", row.sampler, row.steps,
                                       row.precision, row.graph, row.attention);
  if (!row.problem.empty()) return name + "  " + row.problem + "\n";
  std::string line =
      name + fmt::format(
                 " {:>9.4g} {:>7.2g} {:>9.4g} {:>9.4g} {:>9.4g} {:>9.4g} {:>9.4g} {:>9.4g} "
                 "{:>8.2f} {:>8.4g} {:>9}{}",
                 row.draw.mean, row.draw.deviation, row.draw.p50, row.draw.p90, row.draw.p99,
                 row.cpu_ms, row.images_per_second, row.steps_per_second, row.peak_megabytes,
                 row.faster, error_text(row), row.is_best ? "*" : " ");
  if (with_fid) line += fmt::format(" {:>8}", row.fid ? fmt::format("{:.3f}", *row.fid) : "");
  return line + "\n";
}

bool has_fid(const SamplerReport& report) {
  return std::any_of(report.rows.begin(), report.rows.end(),
                     [](const SamplerRow& row) { return row.fid.has_value(); });
}

}  // namespace

TimeSpread spread_of(std::vector<double> values) {
  TimeSpread out;
  out.count = static_cast<int64_t>(values.size());
  std::sort(values.begin(), values.end());
  const double n = static_cast<double>(values.size());
  for (double value : values) out.mean += value / n;
  double squares = 0;
  for (double value : values) squares += (value - out.mean) * (value - out.mean);
  out.deviation = values.size() > 1 ? std::sqrt(squares / (n - 1)) : 0;
  out.p50 = percentile(values, 0.5);
  out.p90 = percentile(values, 0.9);
  out.p99 = percentile(values, 0.99);
  return out;
}

void mark_best(std::vector<SamplerRow>& rows) {
  const auto counts = [](const SamplerRow& row) {
    return row.problem.empty() && row.error && std::isfinite(*row.error);
  };
  for (SamplerRow& row : rows) {
    row.is_best =
        counts(row) && std::none_of(rows.begin(), rows.end(), [&](const SamplerRow& other) {
          return counts(other) && other.draw.p50 <= row.draw.p50 && *other.error <= *row.error &&
                 (other.draw.p50 < row.draw.p50 || *other.error < *row.error);
        });
  }
}

std::string sampler_row_text(const SamplerRow& row) {
  const std::string name = fmt::format("{} {} {}, graph {}, attention {}: ", row.sampler, row.steps,
                                       row.precision, row.graph, row.attention);
  if (!row.problem.empty()) return name + row.problem;
  return name + fmt::format("{:.4g} ms a draw, {:.4g} pictures/s, error {}{}", row.draw.p50,
                            row.images_per_second, error_text(row),
                            row.fid ? fmt::format(", FID {:.3f}", *row.fid) : "");
}

std::string sampler_report_text(const SamplerReport& report) {
  std::string text;
  for (const auto& [name, value] : report.facts) text += fmt::format("{:<11} {}\n", name, value);
  const bool with_fid = has_fid(report);
  text += fmt::format(
      "\n{:<9} {:>5}  {:<12} {:<5} {:<9} {:>9} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} "
      "{:>8} {:>9} {}\n",
      "sampler", "steps", "precision", "graph", "attention", "ms/draw", "std", "p50", "p90", "p99",
      "CPU ms", "images/s", "steps/s", "peak MB", "x faster", "error", with_fid ? "     FID" : "");
  for (const SamplerRow& row : report.rows) text += line_of(row, with_fid);
  text += fmt::format("\nA draw is {} pictures; CPU ms: of one draw, all threads.\n", report.batch);
  if (report.reference_steps > 0)
    text += fmt::format(
        "error: RMSE of the pictures (0 to 1) to {} steps of dpmpp_2m in fp32 from the same noise; "
        "x faster: than those.\n"
        "*: no other row is both faster and closer. random: the sampler adds noise of its own.\n",
        report.reference_steps);
  if (report.is_random)
    text +=
        "The weights are random: times hold, errors and FID say nothing about a trained model.\n";
  if (!report.is_complete) text += "Stopped: rows are missing.\n";
  return text;
}

std::string sampler_report_json(const SamplerReport& report) {
  Json json = {{"bench", "sampler"}, {"version", 1}};
  Json facts = Json::object();
  for (const auto& [name, value] : report.facts) facts[name] = value;
  json["facts"] = facts;
  json["batch"] = report.batch;
  json["repeats"] = report.repeats;
  json["random_weights"] = report.is_random;
  json["complete"] = report.is_complete;
  json["reference"] = {{"sampler", "dpmpp_2m"},
                       {"steps", report.reference_steps},
                       {"ms_per_image", number(report.reference_ms_per_image)}};
  json["rows"] = Json::array();
  for (const SamplerRow& row : report.rows) json["rows"].push_back(json_of(row));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string sampler_report_csv(const SamplerReport& report) {
  std::string text =
      "sampler,steps,precision,graph,attention,status,draws,mean_ms,std_ms,p50_ms,p90_ms,p99_ms,"
      "step_mean_ms,step_p99_ms,"
      "images_per_second,steps_per_second,network_share,cpu_ms,peak_megabytes,faster_than_"
      "reference,trajectory_error,fid,best\n";
  const auto cell = [](const std::optional<double>& value) {
    return value && std::isfinite(*value) ? fmt::format("{:.9g}", *value) : std::string();
  };
  for (const SamplerRow& row : report.rows) {
    text += fmt::format("{},{},{},{},{},", row.sampler, row.steps, row.precision, row.graph,
                        row.attention);
    if (!row.problem.empty()) {
      std::string problem = row.problem;
      std::replace(problem.begin(), problem.end(), '"', '\'');
      text += "\"" + problem + "\"" + std::string(17, ',') + "\n";
      continue;
    }
    text += fmt::format("measured,{}", row.draw.count);
    for (double value :
         {row.draw.mean, row.draw.deviation, row.draw.p50, row.draw.p90, row.draw.p99,
          row.step.mean, row.step.p99, row.images_per_second, row.steps_per_second,
          row.network_share, row.cpu_ms, row.peak_megabytes, row.faster})
      text += "," + cell(value);
    text += "," + cell(row.error) + "," + cell(row.fid) + (row.is_best ? ",1\n" : ",0\n");
  }
  return text;
}

}  // namespace lockstep
