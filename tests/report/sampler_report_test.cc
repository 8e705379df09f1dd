#include "report/sampler_report.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace lockstep {
namespace {

SamplerRow measured(const std::string& sampler, int64_t steps, double ms,
                    std::optional<double> error) {
  SamplerRow row;
  row.sampler = sampler;
  row.steps = steps;
  row.precision = "fp32";
  row.graph = "off";
  row.attention = "auto";
  row.draw = spread_of({ms});
  row.step = spread_of({ms / static_cast<double>(steps)});
  row.images_per_second = 8000 / ms;
  row.error = error;
  return row;
}

SamplerReport example() {
  SamplerReport report;
  report.facts = {{"model", "unet <b>"}};
  report.batch = 8;
  report.repeats = 1;
  report.reference_steps = 1000;
  report.rows = {measured("ddim", 10, 100, 0.5), measured("ddim", 20, 200, 0.2),
                 measured("dpmpp_2m", 20, 210, 0.3), measured("ddpm", 1000, 9000, std::nullopt)};
  report.rows.push_back(measured("ddim", 10, 1, 0.0));
  report.rows.back().graph = "on";
  report.rows.back().problem = "not available: a \"CPU\" has no graphs";
  mark_best(report.rows);
  return report;
}

TEST(SamplerReport, SpreadInterpolatesPercentilesAndDividesByOneLess) {
  const TimeSpread spread = spread_of({5, 1, 4, 2, 3});
  EXPECT_EQ(spread.count, 5);
  EXPECT_DOUBLE_EQ(spread.mean, 3);
  EXPECT_DOUBLE_EQ(spread.deviation * spread.deviation, 2.5);
  EXPECT_DOUBLE_EQ(spread.p50, 3);
  EXPECT_DOUBLE_EQ(spread.p90, 4.6);  // numpy.percentile([1, 2, 3, 4, 5], 90)
  EXPECT_DOUBLE_EQ(spread.p99, 4.96);
  EXPECT_EQ(spread_of({7}).deviation, 0);
}

TEST(SamplerReport, MarksRowsThatNoOtherBeatsInBothTimeAndError) {
  const SamplerReport report = example();
  EXPECT_TRUE(report.rows[0].is_best);
  EXPECT_TRUE(report.rows[1].is_best);
  EXPECT_FALSE(report.rows[2].is_best) << "ddim 20 is faster and closer";
  EXPECT_FALSE(report.rows[3].is_best) << "it has no error";
  EXPECT_FALSE(report.rows[4].is_best) << "it was not measured";
}

TEST(SamplerReport, JsonHasAllRowsAndSaysWhatWasNotMeasured) {
  const auto json = nlohmann::json::parse(sampler_report_json(example()));
  ASSERT_EQ(json["rows"].size(), 5u);
  EXPECT_EQ(json["rows"][1]["trajectory_error"], 0.2);
  EXPECT_TRUE(json["rows"][3]["trajectory_error"].is_null());
  EXPECT_EQ(json["rows"][4]["status"], "not measured");
  EXPECT_FALSE(json["rows"][4].contains("draw"));
  EXPECT_EQ(json["reference"]["steps"], 1000);
}

TEST(SamplerReport, EveryLineOfTheCsvHasAsManyCellsAsTheHeading) {
  const std::string csv = sampler_report_csv(example());
  size_t lines = 0, wanted = 0;
  for (size_t begin = 0; begin < csv.size(); ++lines) {
    const size_t end = csv.find('\n', begin);
    const std::string line = csv.substr(begin, end - begin);
    const auto cells = static_cast<size_t>(std::count(line.begin(), line.end(), ','));
    if (lines == 0) wanted = cells;
    EXPECT_EQ(cells, wanted) << line;
    begin = end + 1;
  }
  EXPECT_EQ(lines, 6u);
}

TEST(SamplerReport, PageShowsChartsRowsAndEscapesText) {
  const std::string page = sampler_report_page(example());
  EXPECT_NE(page.find("<svg"), std::string::npos);
  EXPECT_NE(page.find("unet &lt;b&gt;"), std::string::npos);
  EXPECT_NE(page.find("has no graphs"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
