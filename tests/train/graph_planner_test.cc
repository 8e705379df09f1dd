// When a step is recorded, replayed and given up: a state machine without a device.
#include "train/step/graph_planner.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/errors.h"

namespace lockstep {
namespace {

GraphMode wanted(GraphUse mode, const std::string& obstacle = "") { return {mode, obstacle}; }

void warm_up(GraphPlanner& planner, const std::string& shape) {
  for (int64_t i = 0; i < GraphPlanner::kWarmUp; ++i) {
    EXPECT_EQ(planner.next(shape), StepAction::kEager);
    planner.ran_eagerly(shape);
  }
}

TEST(GraphPlanner, RecordsAShapeAfterThreeEagerStepsAndReplaysItThen) {
  GraphPlanner planner(wanted(GraphUse::kAuto));
  warm_up(planner, "a");
  EXPECT_EQ(planner.next("a"), StepAction::kRecord);
  planner.recorded("a");
  EXPECT_EQ(planner.next("a"), StepAction::kReplay);
}

TEST(GraphPlanner, GivesEachShapeAGraphOfItsOwn) {
  GraphPlanner planner(wanted(GraphUse::kAuto));
  warm_up(planner, "a");
  planner.recorded("a");
  warm_up(planner, "b");
  EXPECT_EQ(planner.next("b"), StepAction::kRecord);
  EXPECT_EQ(planner.next("a"), StepAction::kReplay);
}

TEST(GraphPlanner, ChecksThreeReplaysAndThenSaysThatTheyAgree) {
  GraphPlanner planner(wanted(GraphUse::kAuto));
  EXPECT_FALSE(planner.checks("a")) << "an eager step has nothing to be compared with";
  warm_up(planner, "a");
  planner.recorded("a");
  for (int64_t i = 0; i < GraphPlanner::kChecked; ++i) {
    EXPECT_TRUE(planner.checks("a"));
    EXPECT_EQ(planner.take_note(), "");
    planner.checked(i == 1 ? 3e-6 : 0, 1e-4);
  }
  EXPECT_FALSE(planner.checks("a"));
  EXPECT_NE(planner.take_note().find("agree with eager ones to 3e-06"), std::string::npos);
  EXPECT_EQ(planner.next("a"), StepAction::kReplay);
}

TEST(GraphPlanner, AutoFallsBackAndNamesTheOperationThatPreventedTheGraph) {
  GraphPlanner planner(wanted(GraphUse::kAuto));
  warm_up(planner, "a");
  planner.could_not_record("a", "aten::item", "operation not permitted when stream is capturing");
  EXPECT_TRUE(planner.off());
  EXPECT_EQ(planner.next("a"), StepAction::kEager);
  const std::string note = planner.take_note();
  EXPECT_NE(note.find("aten::item"), std::string::npos) << note;
  EXPECT_NE(note.find("continuing operation by operation"), std::string::npos) << note;
}

TEST(GraphPlanner, AutoFallsBackWhenAReplayDiffersOrIsNoNumber) {
  for (const double difference : {2e-4, std::nan("")}) {
    GraphPlanner planner(wanted(GraphUse::kAuto));
    warm_up(planner, "a");
    planner.recorded("a");
    planner.checked(difference, 1e-4);
    EXPECT_EQ(planner.next("a"), StepAction::kEager);
    EXPECT_NE(planner.take_note().find("differs from an eager one"), std::string::npos);
  }
}

TEST(GraphPlanner, OnEndsTheRunWhereAutoFallsBack) {
  GraphPlanner planner(wanted(GraphUse::kOn));
  warm_up(planner, "a");
  EXPECT_THROW(planner.could_not_record("a", "aten::item", "no"), EnvironmentError);
  EXPECT_THROW(planner.checked(1, 1e-4), EnvironmentError);
  EXPECT_THROW(GraphPlanner(wanted(GraphUse::kOn, "gradients travel through the host")),
               ConfigError);
}

TEST(GraphPlanner, StaysEagerWhenItIsOffOrThereIsAnObstacle) {
  GraphPlanner off(wanted(GraphUse::kOff)),
      hindered(wanted(GraphUse::kAuto, "gradients travel through the host"));
  EXPECT_NE(hindered.take_note().find("through the host"), std::string::npos);
  for (GraphPlanner* planner : {&off, &hindered}) {
    warm_up(*planner, "a");
    EXPECT_EQ(planner->next("a"), StepAction::kEager);
  }
}

TEST(GraphPlanner, RecordsNoMoreThanThirtyTwoGraphs) {
  GraphPlanner planner(wanted(GraphUse::kAuto));
  for (int64_t i = 0; i < GraphPlanner::kMostGraphs; ++i) {
    const std::string shape = std::to_string(i);
    warm_up(planner, shape);
    ASSERT_EQ(planner.next(shape), StepAction::kRecord);
    planner.recorded(shape);
  }
  warm_up(planner, "one more");
  EXPECT_EQ(planner.next("one more"), StepAction::kEager);
  EXPECT_EQ(planner.next("0"), StepAction::kReplay);
}

}  // namespace
}  // namespace lockstep
