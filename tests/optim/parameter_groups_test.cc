#include "optim/parameter_groups.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/errors.h"

namespace lockstep {
namespace {

ArenaLayout layout() {
  return ArenaLayout::of({{"emb.weight", at::zeros({4})},
                          {"layers.0.weight", at::zeros({4})},
                          {"layers.0.bias", at::zeros({4})},
                          {"layers.1.weight", at::zeros({4})}});
}

TEST(Glob, MatchesTheWholeName) {
  EXPECT_TRUE(glob_matches("*.bias", "layers.0.bias"));
  EXPECT_TRUE(glob_matches("layers.?.*", "layers.0.bias"));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("a*b*c", "axxbyyc"));
  EXPECT_TRUE(glob_matches("a*bc", "abcbc"));
  EXPECT_FALSE(glob_matches("bias", "layers.0.bias"));
  EXPECT_FALSE(glob_matches("a*b*c", "axxbyy"));
  EXPECT_FALSE(glob_matches("?", ""));
  EXPECT_FALSE(glob_matches("*a*a*a*a*a*a*a*a*a*b", std::string(2000, 'a')));
}

TEST(ParameterGroups, TheFirstMatchingGroupCounts) {
  const auto settings = resolve_groups(layout(),
                                       {{.match = "*.bias", .weight_decay = 0.0},
                                        {.match = "regex:layers\\.[0-9]+\\..*", .lr_scale = 0.5}},
                                       0.1, 0.01);
  EXPECT_EQ(settings[0], (ParameterSettings{1, 0.01, false}));
  EXPECT_EQ(settings[1], (ParameterSettings{0.5, 0.01, false}));
  EXPECT_EQ(settings[2], (ParameterSettings{1, 0, false}));
  EXPECT_EQ(settings[3], (ParameterSettings{0.5, 0.01, false}));
}

TEST(ParameterGroups, NeighboursWithEqualSettingsMakeOneStretch) {
  const ArenaLayout l = layout();
  EXPECT_EQ(make_stretches(l, resolve_groups(l, {}, 0.1, 0)).size(), 1u);
  const auto stretches =
      make_stretches(l, resolve_groups(l, {{.match = "*.bias", .freeze = true}}, 0.1, 0));
  ASSERT_EQ(stretches.size(), 3u);
  EXPECT_EQ(stretches[0].end, 32);
  EXPECT_EQ(stretches[1].first_parameter, 2);
  EXPECT_TRUE(stretches[1].settings.frozen);
  EXPECT_EQ(stretches[2].end, l.size);
}

TEST(ParameterGroups, PatternsThatCannotBeMeantAreConfigErrors) {
  EXPECT_THROW(resolve_groups(layout(), {{.match = "*.bais"}}, 0.1, 0), ConfigError);
  EXPECT_THROW(resolve_groups(layout(), {{.match = "regex:("}}, 0.1, 0), ConfigError);
  EXPECT_THROW(resolve_groups(layout(), {{.match = "*", .lr = 0.1}}, 0, 0), ConfigError);
}

}  // namespace
}  // namespace lockstep
