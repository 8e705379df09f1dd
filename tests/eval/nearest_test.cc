// Distances to the nearest picture: against values by hand, exact for copies, the same however the
// reference is cut.
#include "eval/nearest.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

// Picture i is grey level 2·i all over.
class Greys : public Dataset {
 public:
  Greys(int64_t size, int64_t side)
      : size_(size), arrays_{{"images", at::kByte, {3, side, side}}} {}
  int64_t size() const override { return size_; }
  const std::vector<ArrayInfo>& arrays() const override { return arrays_; }
  std::string content_hash() const override { return "greys"; }
  Batch read(std::span<const int64_t> ids) const override {
    Batch batch;
    batch.ids.assign(ids.begin(), ids.end());
    const at::Tensor levels = at::tensor(batch.ids).mul(2).to(at::kByte).reshape({-1, 1, 1, 1});
    batch.arrays["images"] =
        levels.expand({batch.rows(), 3, arrays_[0].shape[1], arrays_[0].shape[2]}).contiguous();
    return batch;
  }

 private:
  int64_t size_;
  std::vector<ArrayInfo> arrays_;
};

at::Tensor grey(int64_t level, int64_t side) {
  return at::full({1, 3, side, side}, level, at::kByte);
}

TEST(NearestDistances, AreRootMeanSquaresOnAScaleToOne) {
  const Greys data(100, 4);
  at::Tensor half = grey(80, 4);
  half.slice(2, 0, 2).fill_(
      90);  // halfway between levels 80 and 90: 84 and 86 are nearest, off by 4 and 6
  const std::vector<double> found =
      nearest_distances(at::cat({grey(40, 4), grey(41, 4), grey(255, 4), half}), data, 100);
  EXPECT_EQ(found.at(0), 0);
  EXPECT_NEAR(found.at(1), 1.0 / 255, 1e-12);
  EXPECT_NEAR(found.at(2), 57.0 / 255, 1e-12);  // 198 is the lightest
  EXPECT_NEAR(found.at(3), std::sqrt((16 + 36) / 2.0) / 255, 1e-12);
}

TEST(NearestDistances, LookAtTheFirstPicturesAlone) {
  EXPECT_NEAR(nearest_distances(grey(40, 4), Greys(100, 4), 11).at(0), 20.0 / 255, 1e-12);
}

TEST(NearestDistances, FindACopyInAnyBlockOfTheReference) {
  const Greys data(120, 256);  // 21 pictures a block
  for (const int64_t level : {0, 40, 42, 238})
    EXPECT_EQ(nearest_distances(grey(level, 256), data, 120).at(0), 0) << level;
}

}  // namespace
}  // namespace lockstep
