#include "ddp/slots.h"

#include <gtest/gtest.h>

#include "core/errors.h"

namespace lockstep {
namespace {

TEST(Slots, EveryRankOwnsAContiguousRangeAndNothingIsLeftOver) {
  for (int64_t slots = 1; slots <= 20; ++slots)
    for (int64_t ranks = 1; ranks <= slots; ++ranks) {
      int64_t next = 0;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const SlotRange range = slots_of_rank(slots, ranks, rank);
        EXPECT_EQ(range.begin, next);
        EXPECT_GE(range.count(), 1);
        for (int64_t slot = range.begin; slot < range.end; ++slot)
          EXPECT_EQ(owner_of_slot(slots, ranks, slot), rank);
        next = range.end;
      }
      EXPECT_EQ(next, slots);
    }
}

TEST(Slots, RangesAreTheFloorFormula) {
  EXPECT_EQ(slots_of_rank(8, 3, 0), (SlotRange{0, 2}));
  EXPECT_EQ(slots_of_rank(8, 3, 1), (SlotRange{2, 5}));
  EXPECT_EQ(slots_of_rank(8, 3, 2), (SlotRange{5, 8}));
}

TEST(Slots, TheTreeSplitsAtTheLargestPowerOfTwoBelowItsLength) {
  EXPECT_EQ(tree_split(0, 2), 1);
  EXPECT_EQ(tree_split(0, 3), 2);
  EXPECT_EQ(tree_split(0, 4), 2);
  EXPECT_EQ(tree_split(0, 5), 4);
  EXPECT_EQ(tree_split(0, 8), 4);
  EXPECT_EQ(tree_split(0, 9), 8);
  EXPECT_EQ(tree_split(3, 9), 7);
}

TEST(Slots, TheTreeAddsInItsOwnOrder) {
  struct Text {
    std::string s;
    Text operator+(const Text& o) const { return {"(" + s + o.s + ")"}; }
  };
  const auto leaf = [](int64_t i) { return Text{std::to_string(i)}; };
  EXPECT_EQ(tree_sum<Text>(0, 8, leaf).s, "(((01)(23))((45)(67)))");
  EXPECT_EQ(tree_sum<Text>(0, 6, leaf).s, "(((01)(23))(45))");
  EXPECT_EQ(tree_sum<Text>(0, 3, leaf).s, "((01)2)");
  EXPECT_EQ(tree_sum<Text>(4, 5, leaf).s, "4");
}

TEST(Slots, AutoIsTheLargestOfEightFourTwoOneThatDividesTheBatchOnCpu) {
  EXPECT_EQ(choose_slots({}, {.global_batch = 64}), 8);
  EXPECT_EQ(choose_slots({}, {.global_batch = 12}), 4);
  EXPECT_EQ(choose_slots({}, {.global_batch = 6}), 2);
  EXPECT_EQ(choose_slots({}, {.global_batch = 7}), 1);
  EXPECT_EQ(choose_slots({}, {.global_batch = 64, .ranks = 2, .micro_batches = 4, .cpu = false}),
            8);
  EXPECT_EQ(choose_slots(Auto<int64_t>(0), {.global_batch = 12, .ranks = 3}), 3);
  EXPECT_EQ(choose_slots(Auto<int64_t>(6), {.global_batch = 12, .ranks = 2}), 6);
}

TEST(Slots, AChoiceThatDoesNotFitIsAConfigError) {
  EXPECT_THROW(choose_slots(Auto<int64_t>(5), {.global_batch = 12}), ConfigError);
  EXPECT_THROW(choose_slots(Auto<int64_t>(2), {.global_batch = 12, .ranks = 3}), ConfigError);
  EXPECT_THROW(choose_slots({}, {.global_batch = 7, .ranks = 2}), ConfigError);
}

}  // namespace
}  // namespace lockstep
