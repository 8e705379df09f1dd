// Over 3 epochs × {1, 2, 4, 8} ranks × 20 resume points every sample id
// once an epoch, in the same global order. Through real shards and loaders.
#include <map>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/datasets.h"
#include "data/loader.h"
#include "data/sample_order.h"
#include "tests/data/made_folder.h"

namespace lockstep {
namespace {

constexpr int64_t kSamples = 500, kGlobalBatch = 16, kSlots = 8, kEpochs = 3, kSeed = 17;

// What ranks [0, n) read from step `first` on: id by global index. Each rank has a loader of its
// own; slot s of step t holds indices t·B + s·B/S …, one micro-batch a slot.
void run_ranks(const Dataset& dataset, int64_t ranks, int64_t first, int64_t last,
               std::map<int64_t, int64_t>& ids) {
  const SampleOrder order(dataset.size(), kSeed);
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const int64_t begin = rank * kSlots / ranks, slots = (rank + 1) * kSlots / ranks - begin;
    const auto indices = [=](int64_t n) {
      const int64_t step = n / slots, slot = begin + n % slots;
      std::vector<int64_t> rows;
      for (int64_t j = 0; j < kGlobalBatch / kSlots; ++j)
        rows.push_back(step * kGlobalBatch + slot * (kGlobalBatch / kSlots) + j);
      return rows;
    };
    Loader loader(dataset, [&](int64_t index) { return order.id(index); }, indices, first * slots,
                  {1 + static_cast<int>(rank % 3), 4});
    for (int64_t n = first * slots; n < last * slots; ++n) {
      const Batch batch = loader.next();
      const auto* numbers = batch.array("number").const_data_ptr<int64_t>();
      for (size_t row = 0; row < batch.ids.size(); ++row) {
        ASSERT_EQ(numbers[row], batch.ids[row]);
        ASSERT_TRUE(ids.emplace(batch.indices[row], batch.ids[row]).second)
            << "index " << batch.indices[row] << " twice";
      }
    }
  }
}

TEST(ExactlyOnce, HoldsForAnyNumberOfRanksAndAnyResumePoint) {
  MadeFolder folder;
  make_numbers(folder.path(), {123, 300, 77});
  const auto dataset = open_dataset("arrays", {(folder / "part-*.h5").string()});
  const int64_t steps = SampleOrder::steps(kSamples, kEpochs, kGlobalBatch);
  ASSERT_EQ(steps, 94);  // ⌈1500 / 16⌉

  std::map<int64_t, int64_t> whole;
  run_ranks(*dataset, 1, 0, steps, whole);
  for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {
    std::set<int64_t> seen;
    for (int64_t i = 0; i < kSamples; ++i) seen.insert(whole.at(epoch * kSamples + i));
    ASSERT_EQ(seen.size(), static_cast<size_t>(kSamples)) << "epoch " << epoch;
    ASSERT_EQ(*seen.rbegin(), kSamples - 1);
  }

  for (const int64_t ranks : {1, 2, 4, 8})
    for (int64_t point = 0; point < 20; ++point) {
      // Killed before `resume`, goes on with another number of ranks.
      const int64_t resume = (point * 37 + 5) % steps, others = int64_t{1} << point % 4;
      std::map<int64_t, int64_t> ids;
      run_ranks(*dataset, ranks, 0, resume, ids);
      run_ranks(*dataset, others, resume, steps, ids);
      ASSERT_EQ(ids, whole) << ranks << " ranks, resumed at step " << resume << " on " << others;
    }
}

}  // namespace
}  // namespace lockstep
