#include "ddp/arena.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "ddp/gradient_buckets.h"

namespace lockstep {
namespace {

NamedTensors parameters() {
  return {
      {"a", at::ones({3, 5})}, {"b", at::ones({17})}, {"c", at::ones({})}, {"d", at::ones({2, 2})}};
}

TEST(Arena, ParametersLieInOrderAt64Bytes) {
  const ArenaLayout layout = ArenaLayout::of(parameters());
  ASSERT_EQ(layout.entries.size(), 4u);
  EXPECT_EQ(layout.entries[0].offset, 0);
  EXPECT_EQ(layout.entries[1].offset, 16);
  EXPECT_EQ(layout.entries[2].offset, 48);
  EXPECT_EQ(layout.entries[3].offset, 64);
  EXPECT_EQ(layout.size, 80);
  EXPECT_EQ(layout.num_blocks(), 1);
  const Arena arena(layout);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.data()) % 64, 0u);
  EXPECT_EQ(arena.flat().sum().item<float>(), 0.0f);
}

TEST(Arena, ViewsAliasTheBuffer) {
  const ArenaLayout layout = ArenaLayout::of(parameters());
  Arena arena(layout);
  arena.views()[1].fill_(2);
  EXPECT_EQ(arena.data()[16], 2.0f);
  EXPECT_EQ(arena.data()[33], 0.0f);
  EXPECT_EQ(arena.views()[0].sizes(), (at::IntArrayRef{3, 5}));
  EXPECT_EQ(arena.named("grad.")[3].name, "grad.d");
}

TEST(Arena, LoadingIsStrict) {
  const ArenaLayout layout = ArenaLayout::of(parameters());
  Arena arena(layout);
  arena.load(parameters(), "", "file");
  EXPECT_EQ(arena.flat().sum().item<float>(), 15 + 17 + 1 + 4);
  NamedTensors missing = parameters();
  missing.pop_back();
  EXPECT_THROW(arena.load(missing, "", "file"), CheckpointError);
  NamedTensors more = parameters();
  more.push_back({"e", at::ones({1})});
  EXPECT_THROW(arena.load(more, "", "file"), CheckpointError);
  NamedTensors other_shape = parameters();
  other_shape[0].tensor = at::ones({5, 3});
  EXPECT_THROW(arena.load(other_shape, "", "file"), CheckpointError);
}

TEST(Arena, RefusesOtherDtypesAndEqualNames) {
  EXPECT_THROW(ArenaLayout::of({{"a", at::ones({2}, at::kDouble)}}), ConfigError);
  EXPECT_THROW(ArenaLayout::of({{"a", at::ones({2})}, {"a", at::ones({2})}}), ConfigError);
}

TEST(GradientBuckets, CoverTheArenaFromItsEndWithASmallFirstOne) {
  NamedTensors many;
  for (int i = 0; i < 10; ++i)
    many.push_back({"p" + std::to_string(i), at::zeros({100})});  // 112 each
  const ArenaLayout layout = ArenaLayout::of(many);
  const auto buckets = make_buckets(layout, 3 * 112 * 4, 112 * 4);
  ASSERT_EQ(buckets.size(), 4u);
  EXPECT_EQ(buckets[0].parameters(), 1);
  EXPECT_EQ(buckets[0].last_parameter, 9);
  EXPECT_EQ(buckets[1].parameters(), 3);
  int64_t end = layout.size;
  for (const Bucket& bucket : buckets) {
    EXPECT_EQ(bucket.end, end);
    end = bucket.begin;
  }
  EXPECT_EQ(end, 0);
  EXPECT_EQ(make_buckets(layout, 4, 4).size(),
            10u);  // a parameter larger than the limit stands alone
}

}  // namespace
}  // namespace lockstep
