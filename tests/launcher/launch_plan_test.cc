#include "launcher/ranks/launch_plan.h"

#include <gtest/gtest.h>

#include "core/errors.h"

namespace lockstep {
namespace {

const char* const kLine =
    R"({"name":"n","folder":"runs","run_folder":"","ranks":2,"nodes":1,)"
    R"("ranks_per_node":2,"threads_per_rank":1,"with":"auto",)"
    R"("device":"cpu","steps":9,"max_restarts":3,"timeout_seconds":600,"config_hash":"h",)"
    R"("config_yaml":"a: 1\n","explain":"x","slots":8})";

TEST(LaunchPlan, KeepsWhatItDoesNotKnowForThePlanFile) {
  const LaunchPlan plan = parse_launch_plan(kLine);
  EXPECT_EQ(plan.ranks, 2);
  EXPECT_EQ(plan.timeout_seconds, 600);
  EXPECT_EQ(plan.config_yaml, "a: 1\n");
  EXPECT_NE(plan.json.find("\"slots\": 8"), std::string::npos);
  EXPECT_EQ(plan.json.find("config_yaml"), std::string::npos);
}

TEST(LaunchPlan, RefusesWhatIsNone) {
  EXPECT_THROW(parse_launch_plan(""), InternalError);
  EXPECT_THROW(parse_launch_plan("[1]"), InternalError);
  EXPECT_THROW(parse_launch_plan(R"({"name":"n"})"), InternalError);
  std::string text = kLine;
  text.replace(text.find("\"ranks\":2"), 9, "\"ranks\":0");
  EXPECT_THROW(parse_launch_plan(text), InternalError);
  text.replace(text.find("\"ranks\":0"), 9, "\"ranks\":[]");
  EXPECT_THROW(parse_launch_plan(text), InternalError);
}

}  // namespace
}  // namespace lockstep
