#include "ddp/tree.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/philox.h"
#include "tests/harness/ranks.h"

namespace lockstep {
namespace {

// Numbers of very different size, so that another order of additions gives other bits.
template <class T>
T number(int64_t slot, int64_t i) {
  const Stream stream(7, Purpose::kTest);
  const double scale = std::pow(2.0, static_cast<double>(stream.below(slot, 0, i, 24)) - 12);
  return static_cast<T>(stream.normal(slot, 1, i) * scale);
}

template <class T>
std::vector<T> expected(int64_t slots, int64_t count) {
  std::vector<T> sum(count);
  for (int64_t i = 0; i < count; ++i)
    sum[i] = tree_sum<T>(0, slots, [&](int64_t s) { return number<T>(s, i); });
  return sum;
}

template <class T>
void expect_tree_bits(int ranks, int64_t slots, int64_t count) {
  const std::vector<T> wanted = expected<T>(slots, count);
  harness::run_ranks(ranks, [&](Communicator& comm) {
    TreeReduction tree(comm, slots);
    std::vector<std::vector<T>> mine;
    std::vector<T*> pointers;
    for (int64_t s = tree.local().begin; s < tree.local().end; ++s) {
      auto& buffer = mine.emplace_back(count);
      for (int64_t i = 0; i < count; ++i) buffer[i] = number<T>(s, i);
    }
    for (auto& buffer : mine) pointers.push_back(buffer.data());
    tree.sum<T>(pointers, count, "sum");
    EXPECT_EQ(0, std::memcmp(pointers[0], wanted.data(), count * sizeof(T)))
        << ranks << " ranks, " << slots << " slots, rank " << comm.rank();
  });
}

TEST(TreeReduction, GivesTheSameBitsOnOneToEightRanks) {
  for (int ranks = 1; ranks <= 8; ++ranks) expect_tree_bits<float>(ranks, 8, 1003);
}

TEST(TreeReduction, GivesTheSameBitsForLongVectorsThatAreHalved) {
  for (int ranks = 1; ranks <= 8; ++ranks) expect_tree_bits<float>(ranks, 8, 40'007);
}

TEST(TreeReduction, GivesTheSameBitsForSlotsThatAreNoPowerOfTwo) {
  for (int64_t slots : {1, 3, 5, 6, 12})
    for (int ranks = 1; ranks <= slots && ranks <= 8; ++ranks)
      expect_tree_bits<float>(ranks, slots, 517);
}

TEST(TreeReduction, GivesTheSameBitsInDouble) {
  for (int ranks : {1, 2, 3, 4, 8}) expect_tree_bits<double>(ranks, 8, 9001);
}

TEST(TreeReduction, TheNumbersOfTheTestTellOrdersApart) {
  const auto tree = expected<float>(8, 1003);
  int different = 0;
  for (int64_t i = 0; i < 1003; ++i) {
    float left_to_right = 0;
    for (int64_t s = 0; s < 8; ++s) left_to_right += number<float>(s, i);
    different += left_to_right != tree[i];
  }
  EXPECT_GT(different, 200);
}

TEST(TreeReduction, HandlesEmptyAndTinyVectors) {
  for (int64_t count : {0, 1, 2, 17}) expect_tree_bits<float>(4, 8, count);
}

TEST(TreeReduction, RefusesMoreRanksThanSlots) {
  const auto errors =
      harness::try_ranks(3, [](Communicator& comm) { TreeReduction tree(comm, 2); });
  EXPECT_THROW(std::rethrow_exception(errors[0]), ConfigError);
}

TEST(StepTotals, AddUpOverSlotsAndRanksToTheSameBits) {
  const auto totals_of = [](int64_t slot) {
    return StepTotals{number<double>(slot, 0), 3.0 + slot, slot == 5 ? 1.0 : 0.0,
                      slot == 2 ? 1.0 : 0.0,   2.0 * slot, 7.0};
  };
  const StepTotals wanted = tree_sum<StepTotals>(0, 8, totals_of);
  EXPECT_EQ(wanted.count, 8 * 3.0 + 28);
  EXPECT_EQ(wanted.correct, 2.0 * 28);
  EXPECT_EQ(wanted.guesses, 7.0 * 8);
  for (int ranks : {1, 2, 3, 5, 8})
    harness::run_ranks(ranks, [&](Communicator& comm) {
      TreeReduction tree(comm, 8);
      std::vector<StepTotals> mine;
      for (int64_t s = tree.local().begin; s < tree.local().end; ++s) mine.push_back(totals_of(s));
      EXPECT_EQ(sum_totals(tree, mine), wanted);
    });
}

}  // namespace
}  // namespace lockstep
