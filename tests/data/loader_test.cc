#include "data/loader.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/errors.h"

namespace lockstep {
namespace {

// Samples are their own ids; some take longer than others, one may be broken.
class SlowDataset final : public Dataset {
 public:
  int64_t size() const override { return 1000; }
  const std::vector<ArrayInfo>& arrays() const override { return arrays_; }
  std::string content_hash() const override { return ""; }
  Batch read(std::span<const int64_t> ids) const override {
    const int64_t now = ++reads;
    if (jitter) std::this_thread::sleep_for(std::chrono::microseconds(ids[0] * 7919 % 2000));
    Batch batch;
    batch.ids.assign(ids.begin(), ids.end());
    for (const int64_t id : ids)
      if (id == broken) throw DataError("sample is broken");
    batch.arrays["id"] = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
    std::copy(ids.begin(), ids.end(), batch.arrays["id"].mutable_data_ptr<int64_t>());
    most_ahead = std::max<int64_t>(most_ahead, now - delivered);
    return batch;
  }

  bool jitter = false;
  int64_t broken = -2;
  mutable std::atomic<int64_t> reads{0}, delivered{0}, most_ahead{0};

 private:
  std::vector<ArrayInfo> arrays_{{"id", at::kLong, {}}};
};

std::vector<int64_t> three_of(int64_t n) { return {3 * n, 3 * n + 1, 3 * n + 2}; }

TEST(Loader, KeepsTheOrderForAnyNumberOfThreads) {
  for (const int threads : {1, 2, 4, 8}) {
    SlowDataset dataset;
    dataset.jitter = true;
    Loader loader(
        dataset, [](int64_t index) { return (index * 7) % 1000; },
        [](int64_t n) { return n < 40 ? three_of(n) : std::vector<int64_t>{}; }, 5, {threads, 4});
    for (int64_t n = 5; n < 40; ++n) {
      const Batch batch = loader.next();
      ASSERT_EQ(batch.indices, three_of(n)) << threads;
      ASSERT_EQ(batch.ids,
                (std::vector<int64_t>{21 * n % 1000, (21 * n + 7) % 1000, (21 * n + 14) % 1000}));
      ASSERT_EQ(batch.array("id").const_data_ptr<int64_t>()[1], batch.ids[1]);
    }
    EXPECT_EQ(loader.next().rows(), 0);
    EXPECT_EQ(loader.next().rows(), 0);
    EXPECT_GE(loader.waited_seconds(), 0);
  }
}

TEST(Loader, ReadsNoFurtherAheadThanItMay) {
  SlowDataset dataset;
  Loader loader(dataset, [](int64_t index) { return index % 1000; }, three_of, 0, {4, 3});
  for (int n = 0; n < 50; ++n) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    loader.next();
    ++dataset.delivered;
  }
  // Three may wait; the fourth is the one that next() took before `delivered` was counted.
  EXPECT_LE(dataset.most_ahead, 4);
}

TEST(Loader, HandsOnTheErrorAtItsPlace) {
  for (const int threads : {1, 4}) {
    SlowDataset dataset;
    dataset.broken = 31;
    Loader loader(dataset, [](int64_t index) { return index; }, three_of, 0, {threads, 4});
    for (int64_t n = 0; n < 10; ++n) EXPECT_EQ(loader.next().ids, three_of(n));
    EXPECT_THROW(loader.next(), DataError);
    EXPECT_THROW(loader.next(), DataError);
  }
}

TEST(Loader, HandsOnAnErrorOfItsPlan) {
  SlowDataset dataset;
  Loader loader(dataset, [](int64_t) -> int64_t { throw InternalError("no order"); }, three_of, 0,
                {2, 2});
  EXPECT_THROW(loader.next(), InternalError);
}

TEST(Loader, GivesPaddingAsIdMinusOne) {
  SlowDataset dataset;
  Loader loader(
      dataset, [](int64_t index) { return index + 1; },
      [](int64_t n) { return n == 0 ? std::vector<int64_t>{4, -1} : std::vector<int64_t>{}; }, 0,
      {1, 1});
  const Batch batch = loader.next();
  EXPECT_EQ(batch.indices, (std::vector<int64_t>{4, -1}));
  EXPECT_EQ(batch.ids, (std::vector<int64_t>{5, -1}));
}

TEST(Loader, EndsAtOnceWhenNobodyReads) {
  SlowDataset dataset;
  dataset.jitter = true;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i)
    Loader(dataset, [](int64_t index) { return index % 1000; }, three_of, 0, {8, 16});
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace lockstep
