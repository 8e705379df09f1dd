// What `lockstep bench sampler` measured: rows of times and qualities, as text, JSON, CSV and a
// page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

// Of times, in milliseconds. Percentiles interpolate between measured values; deviation with n − 1.
struct TimeSpread {
  int64_t count = 0;
  double mean = 0, deviation = 0, p50 = 0, p90 = 0, p99 = 0;
};
// `values` ≥ 1, in any order.
TimeSpread spread_of(std::vector<double> values);

// One way to draw: what was asked for, and what came out unless `problem` says why nothing did.
struct SamplerRow {
  std::string sampler;
  int64_t steps = 0;
  std::string precision, graph, attention;
  std::string problem;  // "" = measured

  TimeSpread draw;  // a whole batch, from noise to pictures
  TimeSpread step;  // one network pass with its sampler update
  double images_per_second = 0, steps_per_second = 0;
  double network_share =
      0;  // of a draw's time that passes take; the rest is the sampler. NaN: not known
  double cpu_ms =
      0;  // CPU time of this process, a draw: what other work on the machine disturbs least
  double peak_megabytes = 0;    // MiB of tensors above the weights: each thread at its highest
  double faster = 0;            // reference's time a picture / this one's
  bool is_random = false;       // adds noise of its own, so that it has no error
  std::optional<double> error;  // RMSE to the reference's pictures (scale 0 to 1)
  std::optional<double> fid;
  bool is_best = false;  // no measured row is both faster and closer to the reference
};

struct SamplerReport {
  std::vector<std::pair<std::string, std::string>> facts;  // name → text: model, weights, machine …
  int64_t batch = 0, repeats = 0, reference_steps = 0;     // reference_steps 0: there is none
  double reference_ms_per_image = 0;
  bool is_random = false;   // weights were never trained
  bool is_complete = true;  // false: stopped before all rows were measured
  std::vector<SamplerRow> rows;
};

// Sets is_best of the rows that have an error.
void mark_best(std::vector<SamplerRow>& rows);

// A row in short, for a line on the terminal as soon as it is measured.
std::string sampler_row_text(const SamplerRow& row);
// Columns that fit a terminal of 150 columns, problems below.
std::string sampler_report_text(const SamplerReport& report);
// One object: facts, reference, rows with every field ("status": "measured", or the problem); no
// line break.
std::string sampler_report_json(const SamplerReport& report);
// A heading and a line a row, all fields.
std::string sampler_report_csv(const SamplerReport& report);
// An offline HTML page: error against time, bars of time, the report.
std::string sampler_report_page(const SamplerReport& report);

}  // namespace lockstep
