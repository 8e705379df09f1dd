#include "report/metrics_file.h"

#include <cmath>

#include <gtest/gtest.h>

#include "report/run_facts.h"

namespace lockstep {
namespace {

TEST(Metrics, ReadsStepsEvaluationsAndAttempts) {
  const Metrics metrics = parse_metrics(
      "{\"kind\":\"attempt\",\"attempt\":0,\"step\":0,\"ranks\":2,\"slots\":8,\"time\":100}\n"
      "{\"step\":1,\"epoch\":0.5,\"time\":101,\"loss\":2.5,\"lr\":0.1,\"skipped\":false}\n"
      "{\"step\":2,\"time\":102.5,\"loss\":null}\n"
      "{\"kind\":\"evaluation\",\"step\":2,\"time\":103,\"solve_rate\":{\"easy\":0.5,\"hard\":0.25}"
      ",\"fid\":3}\n");
  ASSERT_EQ(metrics.steps.size(), 2u);
  EXPECT_EQ(metrics.steps[0].value("loss"), 2.5);
  EXPECT_TRUE(std::isnan(metrics.steps[1].value("loss")));
  EXPECT_TRUE(std::isnan(metrics.steps[0].value("skipped")));
  ASSERT_EQ(metrics.evaluations.size(), 1u);
  const std::vector<std::pair<std::string, double>> scores{
      {"solve_rate.easy", 0.5}, {"solve_rate.hard", 0.25}, {"fid", 3}};
  EXPECT_EQ(metrics.evaluations[0].scores, scores);
  ASSERT_EQ(metrics.attempts.size(), 1u);
  EXPECT_EQ(metrics.attempts[0].ranks, 2);
  EXPECT_TRUE(metrics.bad.empty());
}

TEST(Metrics, NameDamagedLinesAndGoOn) {
  const Metrics metrics = parse_metrics(
      "{\"step\":1,\"loss\":1}\n"
      "rubbish\n"
      "[1]\n"
      "{\"loss\":1}\n"
      "{\"kind\":\"dance\",\"step\":1}\n"
      "{\"step\":2,\"loss\":1}\n"
      "{\"step\":3,\"lo");
  EXPECT_EQ(metrics.steps.size(), 2u);
  ASSERT_EQ(metrics.bad.size(), 5u);
  EXPECT_EQ(metrics.bad[0].line, 2);
  EXPECT_EQ(metrics.bad[0].reason, "no JSON");
  EXPECT_EQ(metrics.bad[1].reason, "no JSON object");
  EXPECT_EQ(metrics.bad[2].reason, "no step");
  EXPECT_EQ(metrics.bad[3].reason, "unknown kind 'dance'");
  EXPECT_EQ(metrics.bad[4].line, 7);
  EXPECT_EQ(metrics.bad[4].after_step, 2);
  EXPECT_EQ(metrics.bad[4].reason, "half a line: the run was killed while it wrote");
}

TEST(Metrics, TimeLeavesOutThePauseBeforeAResume) {
  const Metrics metrics = parse_metrics(
      "{\"step\":1,\"time\":10,\"step_seconds\":2}\n"
      "{\"step\":2,\"time\":12,\"step_seconds\":2}\n"
      "{\"kind\":\"attempt\",\"attempt\":1,\"step\":2,\"time\":500}\n"
      "{\"step\":3,\"time\":503,\"step_seconds\":2}\n"
      "{\"step\":4,\"time\":505,\"step_seconds\":2}\n");
  EXPECT_DOUBLE_EQ(metrics.seconds(), 2 + 2 + 2 + 2);
}

TEST(Metrics, OfAMissingFileAreEmpty) { EXPECT_TRUE(read_metrics({"/nowhere"}).steps.empty()); }

TEST(Texts, AreWhatPeopleRead) {
  EXPECT_EQ(duration_text(0.84), "0.8 s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(192), "3 min 12 s");
  EXPECT_EQ(duration_text(7500), "2 h 05 min");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(2.3e6), "2.3 MB");
  EXPECT_EQ(count_text(1234567), "1,234,567");
  EXPECT_EQ(count_text(-123), "-123");
  EXPECT_EQ(count_text(-1234), "-1,234");
  EXPECT_EQ(score_text("solve_rate_easy", 1.0), "100.0 %");
  EXPECT_EQ(score_text("solve_rate_easy", 0.9984), "99.84 %");
  EXPECT_EQ(score_text("validation_loss", 0.9984), "0.9984");
  EXPECT_EQ(score_text(2.5e-5), "2.5e-05");
  EXPECT_EQ(score_text(std::nan("")), "–");
}

TEST(Metrics, SayWhichScoresAreBetterWhenSmaller) {
  const Metrics metrics = parse_metrics(
      R"({"kind":"evaluation","step":4,"nearest":0.2,"validity":1,"smaller_is_better":["nearest"]})"
      "\n");
  EXPECT_TRUE(metrics.smaller_is_better.contains("nearest"));
  EXPECT_FALSE(metrics.smaller_is_better.contains("validity"));
  ASSERT_EQ(metrics.evaluations.size(), 1u);
  EXPECT_EQ(metrics.evaluations[0].scores.size(), 2u);
}

}  // namespace
}  // namespace lockstep
