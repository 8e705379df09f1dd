#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/datasets.h"
#include "data/images/image_commands.h"
#include "data/images/image_shards.h"
#include "data/images/images_dataset.h"
#include "data/images/shapes.h"
#include "tests/data/made_folder.h"

namespace lockstep {
namespace {

std::vector<int64_t> first_ids(int64_t count) {
  std::vector<int64_t> ids(static_cast<size_t>(count));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
  return ids;
}

MakeShapesOptions small() {
  MakeShapesOptions options;
  options.train_images = 100;
  options.validation_images = 20;
  options.image_size = 16;
  options.samples_per_shard = 64;
  return options;
}

void write_images(const fs::path& folder, const ImageShape& shape,
                  const std::vector<int64_t>& labels) {
  DatasetWriter writer(folder, {"images", "test", "", image_arrays(shape, true)}, false);
  ImageShardWriter shards(writer, shape, true, "train", 2);
  std::vector<uint8_t> pixels(static_cast<size_t>(shape.bytes()));
  for (const int64_t label : labels) {
    std::fill(pixels.begin(), pixels.end(), static_cast<uint8_t>(label));
    shards.add(pixels.data(), label);
  }
  shards.finish();
  writer.finish();
}

TEST(ShapesMaker, MakesTheSamePicturesForAnyNumberOfThreadsAndShards) {
  MadeFolder folder;
  MakeShapesOptions one = small(), four = small();
  one.threads = 1;
  one.samples_per_shard = 1000;
  four.threads = 4;
  ASSERT_TRUE(make_shapes(folder / "one", one, false));
  ASSERT_TRUE(make_shapes(folder / "four", four, false));
  EXPECT_FALSE(make_shapes(folder / "four", four, false)) << "made twice";
  const auto a = open_dataset("images", {(folder / "one/train-*.h5").string()});
  const auto b = open_dataset("images", {(folder / "four/train-*.h5").string()});
  ASSERT_EQ(a->size(), 100);
  const Batch left = a->read(first_ids(100)), right = b->read(first_ids(100));
  EXPECT_EQ(left.array("images").sizes(), (std::vector<int64_t>{100, 3, 16, 16}));
  EXPECT_TRUE(left.array("images").equal(right.array("images")));
  EXPECT_TRUE(left.array("labels").equal(right.array("labels")));
  EXPECT_EQ(open_dataset("images", {(folder / "one/validation.h5").string()})->size(), 20);
}

TEST(ShapesMaker, DrawsEveryShapeInTwoColoursAndAllPicturesDiffer) {
  const Stream stream(1, Purpose::kDataMaking);
  std::vector<int> seen(kNumShapes);
  std::set<std::vector<uint8_t>> pictures;
  for (uint64_t id = 0; id < 300; ++id) {
    std::vector<uint8_t> picture(3 * 32 * 32);
    ++seen[static_cast<size_t>(draw_shape(stream, id, {}, 32, 3, picture.data()))];
    // The corner is background: the shape covers a part of the rest.
    int other = 0;
    for (size_t i = 0; i < 32 * 32; ++i)
      other += picture[i] != picture[0] || picture[1024 + i] != picture[1024];
    EXPECT_GT(other, 40) << id;
    EXPECT_LT(other, 700) << id;
    pictures.insert(picture);
  }
  EXPECT_EQ(pictures.size(), 300u);
  for (const int count : seen) EXPECT_GT(count, 15);
}

TEST(ShapesMaker, DrawsFewColoursKindsAndSizesIfAsked) {
  const Stream stream(1, Purpose::kDataMaking);
  ShapeRange range;
  range.kinds = {1};  // squares
  range.smallest = range.largest = 0.3;
  range.turn = 0;
  range.any_colors = false;
  std::set<int> colours;
  for (uint64_t id = 0; id < 200; ++id) {
    std::vector<uint8_t> picture(3 * 32 * 32);
    EXPECT_EQ(draw_shape(stream, id, range, 32, 3, picture.data()), 1);
    const int back = picture[0];
    EXPECT_TRUE(back == 0 || back == 255) << back;
    // Whole pixels of an upright square of 2 · 0.78 · 9.6 = 14.98 pixels a side: 13 or 14 a side,
    // and no other shade among them.
    std::map<int, int> count;
    for (size_t i = 0; i < 1024; ++i)
      ++count[picture[i] << 16 | picture[1024 + i] << 8 | picture[2048 + i]];
    count.erase(back * 0x10101);
    const auto most =
        std::max_element(count.begin(), count.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    EXPECT_TRUE(most->second >= 169 && most->second <= 225) << most->second;
    colours.insert(back << 24 | most->first);
  }
  EXPECT_EQ(colours.size(), 12u);
}

TEST(ShapesMaker, RefusesARangeTheWrongWayRound) {
  MadeFolder folder;
  MakeShapesOptions options;
  options.smallest_radius = 0.4;
  EXPECT_THROW(make_shapes(folder / "one", options, false), ConfigError);
  options = {};
  options.kinds.clear();
  EXPECT_THROW(make_shapes(folder / "one", options, false), ConfigError);
  EXPECT_FALSE(std::filesystem::exists(folder / "one"));
}

TEST(ImagesDataset, RefusesWhatIsNoPicture) {
  MadeFolder folder;
  make_grids(folder / "grids", 8);
  EXPECT_NE(data_error([&] {
              open_dataset("images", {(folder / "grids").string()});
            }).find("kind is 'grids'"),
            std::string::npos);
  write_images(folder / "images", {1, 2, 2}, {0, 1, -2});
  const auto dataset = open_dataset("images", {(folder / "images").string()});
  EXPECT_EQ(dataset->read(first_ids(2)).array("labels").sum().item<int64_t>(), 1);
  const std::string message = data_error([&] { dataset->read(first_ids(3)); });
  EXPECT_NE(message.find("sample 0 of the shard has label -2"), std::string::npos) << message;
  EXPECT_NE(message.find("train-00001.h5"), std::string::npos) << message;
}

TEST(MirrorBySample, DecidesBySampleAndStepAloneAndMirrorsHalf) {
  std::vector<int64_t> ids = first_ids(1000);
  const at::Tensor images =
      at::arange(2).to(at::kByte).reshape({1, 1, 1, 2}).expand({1000, 1, 1, 2}).contiguous();
  const at::Tensor flipped = mirror_by_sample(images, ids, 3, 7);
  const int64_t count = flipped.select(3, 0).sum().item<int64_t>();  // 1 came to the left
  EXPECT_NEAR(count, 500, 64);                                       // four standard deviations
  EXPECT_FALSE(flipped.equal(mirror_by_sample(images, ids, 3, 8)));
  const std::vector<int64_t> part(ids.begin() + 300, ids.begin() + 400);
  EXPECT_TRUE(
      flipped.slice(0, 300, 400).equal(mirror_by_sample(images.slice(0, 300, 400), part, 3, 7)));
  const std::vector<int64_t> padding(1000, -1);
  EXPECT_TRUE(images.equal(mirror_by_sample(images, padding, 3, 7)));
}

}  // namespace
}  // namespace lockstep
