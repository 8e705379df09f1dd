#include "data/sample_order.h"

#include <chrono>
#include <cmath>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "core/errors.h"

namespace lockstep {
namespace {

bool is_permutation(const SampleOrder& order, int64_t epoch) {
  const int64_t samples = order.samples();
  std::vector<bool> seen(static_cast<size_t>(samples));
  for (int64_t i = 0; i < samples; ++i) {
    const int64_t id = order.id(epoch * samples + i);
    if (id < 0 || id >= samples || seen[static_cast<size_t>(id)]) return false;
    seen[static_cast<size_t>(id)] = true;
  }
  return true;
}

// The construction of the header, written a second time: from its words, not from its code.
int64_t id_by_the_book(int64_t samples, uint64_t seed, int64_t index) {
  const auto n = static_cast<uint64_t>(samples);
  const uint64_t word = splitmix64(seed ^ splitmix64(1));
  const PhiloxKey key{static_cast<uint32_t>(word), static_cast<uint32_t>(word >> 32)};
  uint64_t h = 1;
  while (std::ldexp(1.0, static_cast<int>(2 * h)) < static_cast<double>(n)) ++h;
  const uint64_t size = uint64_t{1} << h, epoch = static_cast<uint64_t>(index) / n;
  uint64_t x = static_cast<uint64_t>(index) % n;
  do {
    uint64_t left = x / size, right = x % size;
    for (uint32_t round = 0; round < 8; ++round) {
      const PhiloxCounter f =
          philox4x32({static_cast<uint32_t>(right), round, static_cast<uint32_t>(epoch),
                      static_cast<uint32_t>(epoch >> 32)},
                     key, 8);
      const uint64_t swapped = left ^ (f[0] % size);
      left = right;
      right = swapped;
    }
    x = left * size + right;
  } while (x >= n);
  return static_cast<int64_t>(x);
}

TEST(SampleOrder, IsAPermutationForEverySmallNumberOfSamples) {
  for (int64_t samples = 1; samples <= 300; ++samples)
    for (int64_t epoch : {0, 1, 7})
      ASSERT_TRUE(is_permutation(SampleOrder(samples, 17), epoch)) << samples << " epoch " << epoch;
}

TEST(SampleOrder, IsAPermutationForLargeNumbersOfSamples) {
  for (const int64_t samples : {1023, 1024, 1025, 4096, 4097, 20000, 65536, 65537, 100003, 1 << 20})
    EXPECT_TRUE(is_permutation(SampleOrder(samples, 3), 2)) << samples;
}

TEST(SampleOrder, VisitsEverySampleOnceAnEpoch) {
  const SampleOrder order(1000, 9);
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    std::set<int64_t> ids;
    for (int64_t i = 0; i < 1000; ++i) ids.insert(order.id(epoch * 1000 + i));
    EXPECT_EQ(ids.size(), 1000u);
    EXPECT_EQ(order.epoch(epoch * 1000), epoch);
    EXPECT_EQ(order.epoch(epoch * 1000 + 999), epoch);
  }
}

TEST(SampleOrder, FollowsTheConstructionInItsHeader) {
  for (const int64_t samples : {1, 2, 5, 16, 17, 1000, 20000, 1234567})
    for (const uint64_t seed : {uint64_t{0}, uint64_t{17}, ~uint64_t{0}})
      for (int64_t index = 0; index < 3 * samples; index += 1 + samples / 7)
        ASSERT_EQ(SampleOrder(samples, seed).id(index), id_by_the_book(samples, seed, index))
            << samples << " " << index;
  // Epochs beyond 32 bits and sample numbers near the largest.
  const int64_t late = (int64_t{5} << 32) * 7 + 3;
  EXPECT_EQ(SampleOrder(7, 1).id(late), id_by_the_book(7, 1, late));
  const int64_t huge = INT64_MAX - 5;
  EXPECT_EQ(SampleOrder(huge, 1).id(12345), id_by_the_book(huge, 1, 12345));
}

// Once written down, never to change: a resumed run must meet the same samples.
TEST(SampleOrder, KeepsItsPromise) {
  const SampleOrder order(10, 17);
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 20; ++i) ids.push_back(order.id(i));
  EXPECT_EQ(ids,
            (std::vector<int64_t>{8, 5, 6, 9, 1, 3, 2, 4, 7, 0, 7, 5, 0, 9, 8, 6, 1, 4, 3, 2}));
}

TEST(SampleOrder, DiffersBetweenEpochsAndSeeds) {
  const SampleOrder order(5000, 1), other(5000, 2);
  int same_epoch = 0, same_seed = 0;
  for (int64_t i = 0; i < 5000; ++i) {
    same_epoch += order.id(i) == order.id(5000 + i);
    same_seed += order.id(i) == other.id(i);
  }
  // Fixed points of a random permutation: Poisson of mean 1.
  EXPECT_LT(same_epoch, 10);
  EXPECT_LT(same_seed, 10);
}

double chi_squared(const std::vector<int64_t>& counts, double expected) {
  double sum = 0;
  for (const int64_t count : counts)
    sum += (static_cast<double>(count) - expected) * (static_cast<double>(count) - expected) /
           expected;
  return sum;
}

TEST(SampleOrder, SpreadsPositionsEvenly) {
  // Of 13 samples, where position p goes over 26,000 epochs: 12 degrees of freedom, 99.99 %
  // below 39.1.
  constexpr int64_t kSamples = 13, kEpochs = 26000;
  const SampleOrder order(kSamples, 4);
  for (const int64_t position : {0, 1, 6, 12}) {
    std::vector<int64_t> counts(kSamples);
    for (int64_t epoch = 0; epoch < kEpochs; ++epoch)
      ++counts[static_cast<size_t>(order.id(epoch * kSamples + position))];
    EXPECT_LT(chi_squared(counts, double{kEpochs} / kSamples), 39.1) << position;
  }
}

TEST(SampleOrder, MakesAllPermutationsOfFourEquallyOften) {
  // 24 permutations over 48,000 epochs: 23 degrees of freedom, 99.99 % below 56.
  constexpr int64_t kEpochs = 48000;
  const SampleOrder order(4, 11);
  std::vector<int64_t> counts(256);
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    size_t code = 0;
    for (int64_t i = 0; i < 4; ++i) code = 4 * code + static_cast<size_t>(order.id(4 * epoch + i));
    ++counts[code];
  }
  std::erase(counts, 0);
  ASSERT_EQ(counts.size(), 24u);
  EXPECT_LT(chi_squared(counts, kEpochs / 24.0), 56);
}

TEST(SampleOrder, LeavesNoPatternBetweenNeighbours) {
  // Differences of neighbouring ids modulo N, in 64 equal classes: 63 degrees of freedom, 99.99 %
  // below 113.
  constexpr int64_t kSamples = 20000;
  const SampleOrder order(kSamples, 8);
  std::vector<int64_t> counts(64);
  for (int64_t i = 0; i + 1 < kSamples; ++i) {
    const int64_t difference = (order.id(i + 1) - order.id(i) + kSamples) % kSamples;
    ++counts[static_cast<size_t>(difference * 64 / kSamples)];
  }
  EXPECT_LT(chi_squared(counts, (kSamples - 1) / 64.0), 113);
}

TEST(SampleOrder, CountsStepsByTheClosedForm) {
  EXPECT_EQ(SampleOrder::steps(20000, 3, 16), 3750);
  EXPECT_EQ(SampleOrder::steps(10, 1, 3), 4);
  EXPECT_EQ(SampleOrder::steps(10, 3, 3), 10);
  EXPECT_EQ(SampleOrder::steps(30, 0.1, 3), 1);
  EXPECT_EQ(SampleOrder::steps(30, 0.1, 1), 3);
  EXPECT_EQ(SampleOrder::steps(7, 0.5, 1), 4);
  EXPECT_EQ(SampleOrder::steps(1, 1, 64), 1);
}

TEST(SampleOrder, RefusesAnEmptyDataset) { EXPECT_THROW(SampleOrder(0, 1), DataError); }

TEST(SampleOrder, CostsTheSameForABillionSamples) {
  const auto seconds = [](int64_t samples, int64_t first) {
    const SampleOrder order(samples, 1);
    const auto start = std::chrono::steady_clock::now();
    int64_t sum = 0;
    for (int64_t i = 0; i < 100000; ++i) sum += order.id(first + i);
    EXPECT_GT(sum, 0);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  // At most 4 turns of the cycle against 1; anything that grew with N would be 10^6 times slower.
  EXPECT_LT(seconds(1000000000, 999999000), 100 * seconds(1000, 0) + 0.1);
}

}  // namespace
}  // namespace lockstep
