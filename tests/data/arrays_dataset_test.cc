#include "data/shards/arrays_dataset.h"

#include <fstream>
#include <thread>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/datasets.h"
#include "data/shards/hdf5_shard.h"
#include "tests/data/made_folder.h"

namespace lockstep {
namespace {

std::unique_ptr<Dataset> open_with(const fs::path& folder, int64_t memory_megabytes) {
  ArraysOptions options;
  options.memory_megabytes = memory_megabytes;
  options.cache_megabytes = 1;
  return make_arrays_dataset(find_shards({folder.string()}), options);
}

void expect_numbers(const Batch& batch) {
  const auto& number = batch.array("number");
  const auto& row = batch.array("row");
  const auto& words = batch.array("words");
  const auto& offsets = batch.array("words_offsets");
  ASSERT_EQ(number.scalar_type(), at::kLong);
  ASSERT_EQ(row.sizes(), (std::vector<int64_t>{batch.rows(), 2, 3}));
  ASSERT_EQ(words.scalar_type(), at::kUInt16);
  ASSERT_EQ(offsets.sizes(), (std::vector<int64_t>{batch.rows() + 1}));
  const auto* o = offsets.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < batch.rows(); ++i) {
    const int64_t id = batch.ids[static_cast<size_t>(i)];
    ASSERT_EQ(number.const_data_ptr<int64_t>()[i], std::max<int64_t>(id, 0));
    for (int64_t k = 0; k < 6; ++k) {
      const float expected = id < 0 ? 0 : static_cast<float>(id) + static_cast<float>(k) / 10;
      ASSERT_EQ(row.const_data_ptr<float>()[6 * i + k], expected);
    }
    ASSERT_EQ(o[i + 1] - o[i], id < 0 ? 0 : id % 4);
    for (int64_t k = o[i]; k < o[i + 1]; ++k)
      ASSERT_EQ(words.const_data_ptr<uint16_t>()[k], id % 1000);
  }
}

// In memory, from chunks, and from compressed chunks.
class ArraysDataset : public testing::TestWithParam<std::pair<int64_t, int>> {};

TEST_P(ArraysDataset, GivesBackWhatWasWritten) {
  MadeFolder folder;
  make_numbers(folder.path(), {700, 1, 1299}, 1, GetParam().second);
  const auto dataset = open_with(folder.path(), GetParam().first);
  ASSERT_EQ(dataset->size(), 2000);
  ASSERT_EQ(dataset->arrays(), number_arrays());
  expect_numbers(dataset->read(std::vector<int64_t>{0}));
  expect_numbers(dataset->read(std::vector<int64_t>{1999, 3, 700, 699, -1, 701, 3, 1234, 0}));
  expect_numbers(dataset->read(std::vector<int64_t>{-1, -1}));
  expect_numbers(dataset->read(std::vector<int64_t>{}));
  std::vector<int64_t> all(2000);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i * 997 % 2000);
  expect_numbers(dataset->read(all));
}

TEST_P(ArraysDataset, IsReadByThreadsAtOnce) {
  MadeFolder folder;
  make_numbers(folder.path(), {1500, 500}, 1, GetParam().second);
  const auto dataset = open_with(folder.path(), GetParam().first);
  std::vector<std::jthread> threads;
  for (int64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < 50; ++i)
        expect_numbers(
            dataset->read(std::vector<int64_t>{(37 * i + t) % 2000, (911 * i) % 2000, 5}));
    });
}

INSTANTIATE_TEST_SUITE_P(Storage, ArraysDataset,
                         testing::Values(std::pair<int64_t, int>{256, 0},
                                         std::pair<int64_t, int>{0, 0},
                                         std::pair<int64_t, int>{0, 4}));

TEST(ArraysDatasetFiles, KeepEveryElementType) {
  MadeFolder folder;
  const at::ScalarType types[] = {at::kByte,   at::kChar,   at::kShort, at::kInt,   at::kLong,
                                  at::kUInt16, at::kUInt32, at::kHalf,  at::kFloat, at::kDouble};
  std::vector<ArrayInfo> infos;
  std::vector<ArrayValues> values;
  for (const at::ScalarType type : types) {
    infos.push_back({std::string("a_") + c10::toString(type), type, {3}});
    values.push_back({infos.back(), at::arange(12).reshape({4, 3}).to(type), {}});
  }
  DatasetWriter writer(folder.path(), {"arrays", "a test", "", infos}, false);
  writer.add_shard("all.h5", 4, values);
  writer.finish();
  const auto dataset = open_dataset("arrays", {(folder / "all.h5").string()});
  const Batch batch = dataset->read(std::vector<int64_t>{3, 0});
  for (size_t i = 0; i < infos.size(); ++i) {
    const at::Tensor& read = batch.array(infos[i].name);
    EXPECT_EQ(read.scalar_type(), infos[i].dtype);
    EXPECT_TRUE(read.to(at::kDouble)
                    .equal(at::tensor({9., 10., 11., 0., 1., 2.}, at::kDouble).reshape({2, 3})))
        << infos[i].name;
  }
}

TEST(ArraysDatasetFiles, AreTheSameBytesWhenMadeAgain) {
  MadeFolder a, b;
  make_numbers(a.path(), {100, 50});
  make_numbers(b.path(), {100, 50});
  EXPECT_EQ(read_file(a / "part-1.h5"), read_file(b / "part-1.h5"));
  EXPECT_EQ(read_file(a / "dataset.json"), read_file(b / "dataset.json"));
  EXPECT_EQ(open_dataset("arrays", {a.path().string()})->content_hash(),
            open_dataset("arrays", {b.path().string()})->content_hash());
}

TEST(ArraysDatasetFiles, AreChosenByGlobsInTheOrderOfTheIndex) {
  MadeFolder folder;
  make_numbers(folder / "one", {10, 20, 30});
  make_numbers(folder / "two", {5});
  const auto size = [](const std::vector<std::string>& patterns) {
    return open_dataset("arrays", patterns)->size();
  };
  EXPECT_EQ(size({(folder / "one/part-*.h5").string()}), 60);
  EXPECT_EQ(size({(folder / "one/part-[12].h5").string()}), 50);
  EXPECT_EQ(size({(folder / "one/part-2.h5").string(), (folder / "one/part-0.h5").string()}), 40);
  EXPECT_EQ(size({(folder / "*/part-0.h5").string()}), 15);
  EXPECT_EQ(size({(folder / "one").string(), (folder / "two").string()}), 65);
  // By pattern: part-2 comes first here, so sample 0 is its first one.
  const Batch batch = open_dataset("arrays", {(folder / "one/part-2.h5").string(),
                                              (folder / "one/part-0.h5").string()})
                          ->read(std::vector<int64_t>{0, 30});
  EXPECT_EQ(batch.array("number").const_data_ptr<int64_t>()[0], 30);
  EXPECT_EQ(batch.array("number").const_data_ptr<int64_t>()[1], 0);
}

TEST(ArraysDatasetFiles, ChangeTheContentHashWhenTheyChange) {
  MadeFolder folder;
  make_numbers(folder / "a", {10, 20});
  make_numbers(folder / "b", {20, 10});
  const auto hash = [](const fs::path& path) {
    return open_dataset("arrays", {path.string()})->content_hash();
  };
  EXPECT_NE(hash(folder / "a"), hash(folder / "b"));
  EXPECT_NE(hash(folder / "a"), hash(folder / "a/part-0.h5"));
}

TEST(ArraysDatasetFiles, CutShortWhileInUseAreAnErrorNotASignal) {
  MadeFolder folder;
  make_numbers(folder.path(), {2000}, 1);
  const auto dataset = open_with(folder.path(), 0);
  const fs::path shard = folder / "part-0.h5";
  fs::resize_file(shard, fs::file_size(shard) / 2);
  std::vector<int64_t> all(2000);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  const std::string message = data_error([&] { dataset->read(all); });
  EXPECT_NE(message.find("part-0.h5"), std::string::npos) << message;
  EXPECT_NE(message.find("cut short"), std::string::npos) << message;
}

TEST(ArraysDatasetFiles, ChangedWhileInUseAreFoundByTheirChecksum) {
  MadeFolder folder;
  make_numbers(folder.path(), {2000}, 1);
  const auto dataset = open_with(folder.path(), 0);
  const fs::path path = folder / "part-0.h5";
  const ShardFile shard(path);
  const StoredArray::Chunk chunk = shard.find("row")->chunks[3];
  std::string bytes = read_file(path);
  bytes[chunk.address + 100] ^= 4;
  std::ofstream(path, std::ios::binary | std::ios::in) << bytes;
  std::vector<int64_t> all(2000);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  const std::string message = data_error([&] { dataset->read(all); });
  EXPECT_NE(message.find("chunk 3 of array 'row'"), std::string::npos) << message;
}

}  // namespace
}  // namespace lockstep
