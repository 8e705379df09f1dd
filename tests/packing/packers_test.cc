#include "packing/packers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/errors.h"
#include "core/philox.h"
#include "packing/row_cost.h"

namespace lockstep {
namespace {

using Lengths = std::vector<int32_t>;
using Rows = std::vector<std::vector<int64_t>>;

// Lengths from 1 to `most`, small ones more often.
Lengths some_lengths(size_t count, int32_t most, uint64_t seed) {
  const Stream stream(seed, Purpose::kOrder);
  Lengths lengths(count);
  for (size_t i = 0; i < count; ++i) {
    const float u = stream.uniform(i, 0, 0);
    lengths[i] = 1 + static_cast<int32_t>(u * u * static_cast<float>(most - 1));
  }
  return lengths;
}

Rows rows_of(const PackPlan& plan) {
  Rows rows;
  for (int64_t r = 0; r < plan.rows(); ++r)
    rows.emplace_back(plan.order.begin() + plan.offsets[r],
                      plan.order.begin() + plan.offsets[r + 1]);
  return rows;
}

// Design rule 2, document by document, as it stands: `which` picks a row among all those with room.
template <class Which>
Rows literally(const Lengths& lengths, const std::vector<int64_t>& order, const PackLimits& limits,
               Which which) {
  Rows rows;
  std::vector<int64_t> room;
  for (const int64_t id : order) {
    const int64_t length = lengths[static_cast<size_t>(id)];
    int64_t chosen = -1;
    for (int64_t r = 0; r < static_cast<int64_t>(rows.size()); ++r) {
      const bool places =
          limits.max_documents == 0 || static_cast<int64_t>(rows[r].size()) < limits.max_documents;
      if (!places || room[r] < length) continue;
      if (chosen < 0 || which(room[r], room[chosen])) chosen = r;
    }
    if (chosen < 0) {
      chosen = static_cast<int64_t>(rows.size());
      rows.emplace_back();
      room.push_back(limits.capacity);
    }
    rows[chosen].push_back(id);
    room[chosen] -= length;
  }
  return rows;
}

std::vector<int64_t> in_order(const Lengths& lengths) {
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  return order;
}

std::vector<int64_t> longest_first(const Lengths& lengths) {
  std::vector<int64_t> order = in_order(lengths);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return lengths[a] > lengths[b]; });
  return order;
}

TEST(BestFitDecreasing, IsTheRuleDocumentByDocument) {
  for (const int32_t capacity : {1, 7, 64, 500})
    for (const size_t count : {size_t{1}, size_t{2}, size_t{50}, size_t{700}})
      for (const int64_t most : {int64_t{0}, int64_t{1}, int64_t{3}})
        for (const int threads : {1, 4}) {
          const Lengths lengths = some_lengths(count, capacity, count + capacity);
          const PackLimits limits{capacity, most};
          const auto fuller = [](int64_t room, int64_t best) { return room < best; };
          EXPECT_EQ(
              rows_of(make_plan(find_packer("best_fit_decreasing"), lengths, limits, threads)),
              literally(lengths, longest_first(lengths), limits, fuller))
              << "capacity " << capacity << ", " << count << " documents, at most " << most;
        }
}

TEST(BestFitDecreasing, SortsFewDocumentsOfHugeRangesAlike) {
  const int32_t capacity = 1'000'000'000;
  const Lengths lengths = some_lengths(300, capacity, 5);
  const PackLimits limits{capacity, 0};
  const auto fuller = [](int64_t room, int64_t best) { return room < best; };
  EXPECT_EQ(rows_of(make_plan(find_packer("best_fit_decreasing"), lengths, limits)),
            literally(lengths, longest_first(lengths), limits, fuller));
}

TEST(FirstFit, TakesTheOldestRowWithRoom) {
  for (const int64_t most : {int64_t{0}, int64_t{2}}) {
    const Lengths lengths = some_lengths(400, 90, 3);
    const PackLimits limits{100, most};
    const auto none_is_better = [](int64_t, int64_t) { return false; };
    EXPECT_EQ(rows_of(make_plan(find_packer("first_fit"), lengths, limits)),
              literally(lengths, in_order(lengths), limits, none_is_better));
  }
}

TEST(NextFit, ClosesARowWhenADocumentDoesNotFit) {
  const Lengths lengths{5, 5, 1, 9, 1, 2};
  EXPECT_EQ(rows_of(make_plan(find_packer("next_fit"), lengths, {10, 0})),
            (Rows{{0, 1}, {2, 3}, {4, 5}}));
  EXPECT_EQ(rows_of(make_plan(find_packer("none"), lengths, {10, 0})).size(), lengths.size());
}

TEST(Packers, LoseNothingAndKeepTheLimits) {
  const Lengths lengths = some_lengths(5000, 2048, 11);
  for (const Packer& packer : packers())
    for (const int64_t most : {int64_t{0}, int64_t{5}}) {
      const PackPlan plan = make_plan(packer, lengths, {2048, most}, 3);
      std::vector<int64_t> seen = plan.order;
      std::sort(seen.begin(), seen.end());
      EXPECT_EQ(seen, in_order(lengths)) << packer.name;
      for (const auto& row : rows_of(plan)) {
        int64_t tokens = 0;
        for (const int64_t id : row) tokens += lengths[id];
        EXPECT_LE(tokens, 2048);
        EXPECT_FALSE(row.empty());
        if (most > 0) {
          EXPECT_LE(static_cast<int64_t>(row.size()), most);
        }
      }
      EXPECT_GE(plan.rows(), lower_bound_of_rows(lengths, 2048));
    }
}

TEST(Packers, GiveTheLowerBoundOfRows) {
  EXPECT_EQ(lower_bound_of_rows(Lengths{6, 6, 6}, 10), 3);  // each longer than half
  EXPECT_EQ(lower_bound_of_rows(Lengths{5, 5, 5}, 10), 2);  // ⌈15 / 10⌉
  EXPECT_EQ(lower_bound_of_rows(Lengths{}, 10), 0);
}

TEST(Packers, RefuseWhatDoesNotFit) {
  const Packer& packer = find_packer("best_fit_decreasing");
  EXPECT_THROW(make_plan(packer, Lengths{0}, {4, 0}), DataError);
  EXPECT_THROW(make_plan(packer, Lengths{5}, {4, 0}), DataError);
  EXPECT_THROW(make_plan(packer, Lengths{1}, {0, 0}), ConfigError);
  EXPECT_THROW(find_packer("best_fit"), ConfigError);
  EXPECT_EQ(make_plan(packer, Lengths{}, {4, 0}).rows(), 0);
}

TEST(RowCost, IsThatOfDesignRule2) {
  const CostModel model{100, 12};
  EXPECT_EQ(model.of(int64_t{10}), 2 * 100 * 10 + 2 * 12 * 100);
  EXPECT_EQ(model.of(std::vector<Unit>{{0, 0, 10}, {1, 5, 8}}),
            model.of(int64_t{10}) + model.of(int64_t{3}));
  EXPECT_DOUBLE_EQ(balance_of(std::vector<int64_t>{3, 1, 2, 2}, 2), 1.0);
  EXPECT_DOUBLE_EQ(balance_of(std::vector<int64_t>{3, 3, 1, 1}, 2), 1.5);
}

}  // namespace
}  // namespace lockstep
