// The sweep's file, its points, and the places of the worker's messages.
#include <gtest/gtest.h>

#include <set>

#include "core/errors.h"
#include "launcher/sweep/sweep_plan.h"
#include "launcher/sweep/sweep_points.h"

namespace lockstep {
namespace {

std::vector<SweepPoint> points_of(const std::string& text,
                                  const std::vector<std::string>& overrides = {}) {
  size_t repeated = 0;
  return make_points(read_sweep_text(text, "dir/s.yaml"), overrides, repeated);
}

// The message of the ConfigError that reading or expanding `text` throws.
std::string refusal(const std::string& text) {
  try {
    points_of(text);
  } catch (const ConfigError& error) {
    return error.message();
  }
  return "no error";
}

bool says(const std::string& message, const std::string& a, const std::string& b) {
  return message.find(a) != std::string::npos && message.find(b) != std::string::npos;
}

const std::string kBase = "base: b.yaml\n";

TEST(SweepFile, HasDefaultsAndFindsItsBaseBesideItself) {
  const SweepFile file = read_sweep_text(kBase + "grid: {optimizer.lr: [1]}\n", "dir/s.yaml");
  EXPECT_EQ(file.name, "s");
  EXPECT_EQ(file.folder, "runs");
  EXPECT_EQ(file.base, "dir/b.yaml");
  EXPECT_EQ(file.initial_weights, "same");
  EXPECT_TRUE(file.at_once.is_auto());
}

TEST(SweepFile, RefusesSlipsWithPlaceAndNearestKey) {
  EXPECT_PRED3(says, refusal(kBase + "gird: {a.b: [1]}\n"), "dir/s.yaml:2:1",
               "did you mean 'grid'?");
  EXPECT_PRED3(says, refusal(kBase + "grid: {a.b: 1}\n"), "dir/s.yaml:2:13", "must be a list");
  EXPECT_PRED3(says, refusal(kBase + "grid: {a.b: []}\n"), "dir/s.yaml:2:13", "an empty one");
  EXPECT_PRED3(says, refusal(kBase + "grid: {a..b: [1]}\n"), "dir/s.yaml:2:8",
               "no key of a config");
  EXPECT_PRED3(says, refusal(kBase + "grid: {run.name: [x]}\n"), "dir/s.yaml:2:8",
               "the sweep's to set");
  EXPECT_PRED3(says, refusal(kBase + "list: {a.b: 1}\n"), "dir/s.yaml:2:7", "list of maps");
  EXPECT_PRED3(says, refusal(kBase + "at_once: 0\ngrid: {a: [1]}\n"), "dir/s.yaml:2:10", "at_once");
  EXPECT_PRED3(says, refusal(kBase + "initial_weights: other\ngrid: {a: [1]}\n"), "dir/s.yaml:2:18",
               "per_point");
  EXPECT_PRED3(says, refusal(kBase + "set: {a: 1}\ngrid: {a: [1]}\n"), "dir/s.yaml:3:8",
               "varied as well");
  EXPECT_PRED3(says, refusal(kBase + "initial_weights: per_point\ngrid: {run.seed: [1]}\n"),
               "dir/s.yaml:3:8", "per_point");
  EXPECT_PRED3(says, refusal(kBase), "the sweep has no points", "dir/s.yaml");
  EXPECT_PRED3(says, refusal("grid: {a: [1]}\n"), "names no base config", "dir/s.yaml");
  EXPECT_PRED3(says, refusal(kBase + "name: ../x\ngrid: {a: [1]}\n"), "cannot be a folder",
               "dir/s.yaml");
  EXPECT_PRED3(says, refusal(kBase + "random: {points: 2, keys: {a: {low: 1, hihg: 2}}}\n"),
               "did you mean 'high'?", "dir/s.yaml:2:40");
  EXPECT_PRED3(says, refusal(kBase + "random: {points: 2, keys: {a: {low: 2, high: 1}}}\n"),
               "low is not below high", "dir/s.yaml:2");
  EXPECT_PRED3(says,
               refusal(kBase + "random: {points: 2, keys: {a: {low: 0, high: 1, scale: log}}}\n"),
               "log scale", "dir/s.yaml:2");
  EXPECT_PRED3(says, refusal(kBase + "random: {points: 0, keys: {a: [1]}}\n"), "random.points",
               "dir/s.yaml:2");
}

TEST(SweepPoints, OfAGridAreEveryCombinationTheLastKeyFastest) {
  const auto points = points_of(
      kBase + "grid:\n  optimizer.lr: [1.0e-3, 5.0e-4]\n  task.model.hidden_dim: [8, 32, 64]\n");
  ASSERT_EQ(points.size(), 6u);
  EXPECT_EQ(points[0].name, "lr_1.0e-3-hidden_dim_8");
  EXPECT_EQ(points[1].name, "lr_1.0e-3-hidden_dim_32");
  EXPECT_EQ(points[5].name, "lr_5.0e-4-hidden_dim_64");
  EXPECT_EQ(points[5].overrides,
            (std::vector<std::string>{"optimizer.lr=5.0e-4", "task.model.hidden_dim=64"}));
}

TEST(SweepPoints, HaveTheSeedsNamesIfAsked) {
  const auto points =
      points_of(kBase +
                "point_name: lr_{optimizer.lr}_hd{task.model.hidden_dim}_k{task.k_max}\n"
                "grid: {optimizer.lr: [0.0005], task.model.hidden_dim: [8], task.k_max: [3]}\n");
  EXPECT_EQ(points.at(0).name, "lr_0.0005_hd8_k3");
  EXPECT_PRED3(says, refusal(kBase + "point_name: '{a.x}'\ngrid: {a.b: [1]}\n"), "point_name",
               "'{a.x}'");
  EXPECT_PRED3(says, refusal(kBase + "point_name: same\ngrid: {a.b: [1, 2]}\n"),
               "two points have the name 'same'", "point_name");
}

TEST(SweepPoints, KeepListsTextsAndMapsApartInOverrides) {
  const auto points =
      points_of(kBase +
                "grid:\n  a.list: [[1, 2], [1]]\n  a.text: ['it''s, here', two words]\n  a.map: "
                "[{kind: x, n: 1}]\n  a.none: [null]\n");
  EXPECT_EQ(points.at(0).overrides,
            (std::vector<std::string>{"a.list=[1, 2]", "a.text='it\\'s, here'",
                                      "a.map={kind: x, n: 1}", "a.none=null"}));
  EXPECT_EQ(points.at(1).overrides.at(1), "a.text=two\\ words");
  Node root;
  root.type = Node::Type::kMap;
  apply_overrides(root, points.at(0).overrides);
  EXPECT_EQ(root.find("a")->find("text")->scalar, "it's, here");
  EXPECT_EQ(root.find("a")->find("list")->items.size(), 2u);
  EXPECT_EQ(root.find("a")->find("map")->find("kind")->scalar, "x");
}

TEST(SweepPoints, HaveNamesThatAreSafeShortAndDifferent) {
  const std::string long_text(300, 'x');
  const auto points = points_of(kBase + "grid: {data.path: [../../etc, a/b, a_b, " + long_text +
                                ", " + long_text + "y]}\n");
  std::set<std::string> names;
  for (const SweepPoint& point : points) {
    EXPECT_LE(point.name.size(), 130u);
    EXPECT_EQ(point.name.find('/'), std::string::npos) << point.name;
    EXPECT_NE(point.name.front(), '.') << point.name;
    names.insert(point.name);
  }
  EXPECT_EQ(names.size(), 5u);
}

TEST(SweepPoints, AreDrawnFromTheirRangesAndStayWhenMoreAreDrawn) {
  const std::string keys =
      "keys: {a.lr: {low: 1.0e-5, high: 1.0e-1, scale: log}, a.n: {low: 2, high: 4, whole: true}, "
      "a.w: [x, y]}}\n";
  const auto few = points_of(kBase + "random: {points: 5, " + keys),
             many = points_of(kBase + "random: {points: 400, " + keys);
  for (size_t i = 0; i < few.size(); ++i) EXPECT_EQ(few[i].overrides, many[i].overrides);
  std::set<std::string> whole, words;
  int below = 0;
  for (const SweepPoint& point : many) {
    const double lr = std::stod(point.settings.at(0).value.scalar);
    EXPECT_GE(lr, 1e-5);
    EXPECT_LE(lr, 1e-1);
    below += lr < 1e-3 ? 1 : 0;  // half of a log range
    whole.insert(point.settings.at(1).value.scalar);
    words.insert(point.settings.at(2).value.scalar);
  }
  EXPECT_NEAR(below, 200, 50);  // 5 standard deviations
  EXPECT_EQ(whole, (std::set<std::string>{"2", "3", "4"}));
  EXPECT_EQ(words, (std::set<std::string>{"x", "y"}));
  EXPECT_NE(points_of(kBase + "seed: 18\nrandom: {points: 5, " + keys)[0].overrides,
            few[0].overrides);
}

TEST(SweepPoints, KeepTheirSeedWhateverStandsAroundThem) {
  const auto one = points_of(kBase + "initial_weights: per_point\ngrid: {a.b: [2]}\n");
  const auto two = points_of(kBase + "initial_weights: per_point\ngrid: {a.b: [1, 2]}\n");
  EXPECT_EQ(one.at(0).overrides, two.at(1).overrides);
  EXPECT_NE(two.at(0).overrides.back(), two.at(1).overrides.back());
  EXPECT_TRUE(one.at(0).overrides.back().starts_with("run.seed=")) << one.at(0).overrides.back();
  EXPECT_EQ(points_of(kBase + "grid: {a.b: [2]}\n").at(0).overrides,
            std::vector<std::string>{"a.b=2"});
}

TEST(SweepPoints, RunOnceIfTheyAreThereTwice) {
  size_t repeated = 0;
  const auto points = make_points(
      read_sweep_text(kBase + "grid: {a.b: [1, 2]}\nlist: [{a.b: 2}, {a.b: 3}]\n", "s.yaml"), {},
      repeated);
  EXPECT_EQ(points.size(), 3u);
  EXPECT_EQ(repeated, 1u);
}

TEST(SweepPoints, PutCommonValuesBeforeTheirOwn) {
  const auto points =
      points_of(kBase + "set: {train.steps: 9}\ngrid: {a.b: [1]}\n", {"log.every_steps=2"});
  EXPECT_EQ(points.at(0).overrides,
            (std::vector<std::string>{"train.steps=9", "log.every_steps=2", "a.b=1"}));
  EXPECT_EQ(
      points_of(kBase + "set: {train.steps: 9}\nlist: [{train.steps: 3}]\n").at(0).overrides.back(),
      "train.steps=3");
}

TEST(SweepPoints, AreNamedByTheLastWordsThatTellKeysApart) {
  EXPECT_EQ(short_key("optimizer.lr", {"optimizer.lr", "a.my_lr"}), "lr");
  EXPECT_EQ(short_key("optimizer.lr", {"optimizer.lr", "other.lr"}), "optimizer.lr");
  EXPECT_EQ(short_key("a.b.c", {"a.b.c", "d.c"}), "b.c");
}

TEST(SweepPlan, PointsTheWorkersMessagesToTheSweepsFile) {
  const auto points = points_of(kBase + "grid:\n  optimizer.lrr: [3]\n");
  const std::string message =
      "error: unknown key 'optimizer.lrr'\n  --> command line\n | optimizer.lrr=3\n |           "
      "^\nhelp: did you mean "
      "'lr'?";
  EXPECT_EQ(with_sweep_place(message, points.at(0)),
            "error: unknown key 'optimizer.lrr'\n  --> dir/s.yaml:3:3\n3 |   optimizer.lrr: [3]\n  "
            "|   ^\nhelp: did "
            "you mean 'lr'?");
  const std::string value =
      "error: 'optimizer.lrr' must be 4\n  --> command line\n | optimizer.lrr=3\n |               "
      "^";
  EXPECT_NE(with_sweep_place(value, points.at(0)).find("dir/s.yaml:3:19\n"), std::string::npos)
      << with_sweep_place(value, points.at(0));
  const std::string other = "error: x\n  --> data/a.h5\nhelp: y";
  EXPECT_EQ(with_sweep_place(other, points.at(0)), other);
}

}  // namespace
}  // namespace lockstep
