#include "packing/packed_order.h"

#include <gtest/gtest.h>

#include <map>

#include "core/errors.h"
#include "core/philox.h"

namespace lockstep {
namespace {

constexpr int64_t kCapacity = 64;

// `count` documents of 1 to `most` tokens.
class Documents final : public LengthSource {
 public:
  Documents(int64_t count, int64_t most) : lengths_(static_cast<size_t>(count)) {
    const Stream stream(9, Purpose::kOrder);
    for (size_t i = 0; i < lengths_.size(); ++i)
      lengths_[i] = 1 + static_cast<int64_t>(stream.uniform(i, 0, 0) * static_cast<float>(most));
  }
  int64_t samples() const override { return static_cast<int64_t>(lengths_.size()); }
  int64_t length(int64_t id) const override { return lengths_.at(static_cast<size_t>(id)); }
  int64_t tokens() const {
    int64_t sum = 0;
    for (const int64_t length : lengths_) sum += length;
    return sum;
  }

 private:
  std::vector<int64_t> lengths_;
};

PackedOrderSettings settings_of(int64_t batch, int64_t epochs, int64_t window = 128) {
  PackedOrderSettings settings;
  settings.packer = &find_packer("best_fit_decreasing");
  settings.limits = {kCapacity, 16};
  settings.global_batch = batch;
  settings.window = window;
  settings.seed = 17;
  settings.cost = {1000, 64};
  settings.epochs = epochs;
  return settings;
}

std::vector<Group> all_groups(PackedOrder order) {
  std::vector<Group> groups;
  while (auto group = order.next()) groups.push_back(std::move(*group));
  return groups;
}

TEST(PackedOrder, TrainsEveryTokenExactlyOnceAnEpoch) {
  const Documents documents(500, 150);  // many longer than a row: split
  for (const int64_t epochs : {1, 3}) {
    std::map<std::pair<int64_t, int64_t>, int64_t> times;  // (id, token) → times
    for (const Group& group : all_groups({documents, settings_of(4, epochs)})) {
      ASSERT_EQ(group.size(), 4u);
      for (const Row& row : group) {
        int64_t tokens = 0;
        EXPECT_LE(row.size(), 16u);
        for (const Unit& unit : row) {
          tokens += unit.length();
          for (int64_t t = unit.begin; t < unit.end; ++t) ++times[{unit.id, t}];
        }
        EXPECT_LE(tokens, kCapacity);
      }
    }
    EXPECT_EQ(static_cast<int64_t>(times.size()), documents.tokens());
    for (const auto& [token, count] : times) EXPECT_EQ(count, epochs);
  }
}

TEST(PackedOrder, GoesOnFromEveryStepAsIfItHadNeverStopped) {
  const Documents documents(300, 90);
  const PackedOrderSettings settings = settings_of(3, 2, 64);
  PackedOrder whole(documents, settings);
  std::vector<PackedOrderState> states{whole.state()};
  std::vector<Group> groups;
  while (auto group = whole.next()) {
    groups.push_back(std::move(*group));
    states.push_back(whole.state());
  }
  ASSERT_GT(groups.size(), 40u);
  for (size_t step = 0; step < states.size(); ++step) {
    PackedOrder resumed(documents, settings);
    resumed.restore(states[step]);
    for (size_t later = step; later < std::min(step + 5, groups.size()); ++later)
      EXPECT_EQ(resumed.next(), groups[later]) << "from " << step << " at " << later;
  }
}

TEST(PackedOrder, OnlyTheLastStepOfTheLastEpochHasEmptyRows) {
  const Documents documents(301, 60);
  const std::vector<Group> groups = all_groups({documents, settings_of(8, 2)});
  for (size_t step = 0; step + 1 < groups.size(); ++step)
    for (const Row& row : groups[step]) EXPECT_FALSE(row.empty());
}

TEST(PackedOrder, CountsAddUp) {
  const Documents documents(400, 150);
  for (const TooLong too_long : {TooLong::kSplit, TooLong::kCut, TooLong::kDrop}) {
    PackedOrderSettings settings = settings_of(4, 2);
    settings.too_long = too_long;
    const PackingStatistics all = PackedOrder(documents, settings).statistics(2, 2);
    EXPECT_EQ(all.read.tokens, 2 * documents.tokens());
    EXPECT_EQ(all.read.tokens, all.read.kept + all.read.cut + all.read.dropped);
    EXPECT_EQ(all.read.kept, all.row_tokens + all.carried_tokens);
    EXPECT_EQ(all.rows + all.empty_rows, all.steps * 4);
    EXPECT_GT(all.fill(kCapacity), 0.95);
    EXPECT_GE(all.balance(), 1.0);
    EXPECT_LT(all.balance(), 1.05);
    EXPECT_EQ(static_cast<int64_t>(all_groups({documents, settings}).size()), all.steps);
  }
}

TEST(PackedOrder, RefusesTooFewRowsALongSampleAndAForeignState) {
  const Documents few(3, 10), longer(300, 150);
  EXPECT_THROW(PackedOrder(few, settings_of(8, 1)), ConfigError);
  PackedOrderSettings refuse = settings_of(2, 1);
  refuse.too_long = TooLong::kRefuse;
  EXPECT_THROW(all_groups({longer, refuse}), DataError);
  PackedOrder order(longer, settings_of(2, 1));
  EXPECT_THROW(order.restore({5, {}, 0}), CheckpointError);  // no window begins there
  EXPECT_THROW(order.restore({0, {{0, 0, 1'000'000}}, 0}), CheckpointError);
  EXPECT_THROW(order.restore({0, {}, 1'000'000}), CheckpointError);
}

TEST(PackedOrder, TakesTheWindowOfDesignRule2) {
  EXPECT_EQ(window_of(1000, 1000 * 300, 2048, 64), 8192);    // W·300 ≥ 2048·1000 → 6827
  EXPECT_EQ(window_of(1000, 1000 * 3000, 2048, 64), 4096);   // never below 4,096
  EXPECT_EQ(window_of(1000, 1000 * 300, 2048, 512), 32768);  // 8·512 rows → 27,963
}

}  // namespace
}  // namespace lockstep
