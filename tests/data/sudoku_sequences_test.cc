#include <algorithm>
#include <filesystem>
#include <numeric>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "data/commands.h"
#include "data/datasets.h"
#include "data/shards/dataset_writer.h"
#include "data/sudoku/sudoku_grid.h"

namespace lockstep {
namespace {

Batch all_of(const Dataset& data) {
  std::vector<int64_t> ids(static_cast<size_t>(data.size()));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  return data.read(ids);
}

std::filesystem::path fresh_folder(const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / name;
  std::filesystem::remove_all(folder);
  return folder;
}

TEST(SudokuSequences, AreSolvedGridsWithAPermutationOfTheirCells) {
  const auto folder = fresh_folder("sequences");
  MakeSequencesOptions options;
  options.train_sequences = 50;
  options.validation_sequences = 7;
  options.samples_per_shard = 20;
  EXPECT_TRUE(make_sudoku_sequences(folder, options, false));
  EXPECT_FALSE(make_sudoku_sequences(folder, options, false));  // there already
  const auto train = open_dataset("grids", {(folder / "train-*.h5").string()});
  const auto validation = open_dataset("grids", {(folder / "validation.h5").string()});
  EXPECT_EQ(train->size(), 50);
  EXPECT_EQ(validation->size(), 7);
  const Batch batch = all_of(*train);
  train->check_samples(batch);  // rules of Sudoku
  const at::Tensor sorted = std::get<0>(batch.array("order").sort(1));
  EXPECT_TRUE(at::equal(sorted, at::arange(81, at::kByte).expand({50, 81})));
  EXPECT_FALSE(at::equal(batch.array("order")[0], batch.array("order")[1]));
  // Same seed, same data, for any number of threads and shards of another size.
  options.samples_per_shard = 1000;
  options.threads = 1;
  const auto other = fresh_folder("sequences-again");
  make_sudoku_sequences(other, options, false);
  const Batch again = all_of(*open_dataset("grids", {(other / "train-*.h5").string()}));
  EXPECT_TRUE(at::equal(batch.array("solution"), again.array("solution")));
  EXPECT_TRUE(at::equal(batch.array("order"), again.array("order")));
}

TEST(SudokuSequences, AnOrderWithACellTwiceIsRefusedOnReading) {
  const auto folder = fresh_folder("sequences-broken");
  const std::vector<ArrayInfo> infos = {{"solution", at::kByte, {kCells}},
                                        {"order", at::kByte, {kCells}}};
  at::Tensor order = at::arange(81, at::kByte).repeat({2, 1});
  order[1][80] = 3;
  DatasetWriter writer(folder, {"grids", "a test", "", infos}, false);
  writer.add_shard("train-00000.h5", 2,
                   {{infos[0], at::ones({2, 81}, at::kByte), {}}, {infos[1], order, {}}});
  writer.finish();
  const auto data = open_dataset("grids", {(folder / "train-*.h5").string()});
  const std::vector<int64_t> good = {0}, bad = {1};
  EXPECT_NO_THROW(data->read(good));
  EXPECT_THROW(data->read(bad), DataError);
}

}  // namespace
}  // namespace lockstep
