// Pictures on the way into shards of kind `images`.
#pragma once

#include <string>
#include <vector>

#include "data/shards/dataset_writer.h"

namespace lockstep {

// What all pictures of a dataset have in common.
struct ImageShape {
  int64_t channels = 3, height = 0, width = 0;
  int64_t bytes() const { return channels * height * width; }
  bool operator==(const ImageShape&) const = default;
};

// images u8 [C, H, W], with `labeled` also labels i64.
std::vector<ArrayInfo> image_arrays(const ImageShape& shape, bool labeled);

// Writes pictures one after the other into shards PREFIX-00000.h5, PREFIX-00001.h5 …, holding one
// shard in memory: at most samples_per_shard pictures, and about kMostShardBytes.
inline constexpr size_t kMostShardBytes = size_t{1} << 30;
class ImageShardWriter {
 public:
  // `writer` outlives this object and was made with image_arrays(shape, labeled). `one_file`: the
  // only shard is called PREFIX.h5, whatever its size.
  ImageShardWriter(DatasetWriter& writer, const ImageShape& shape, bool labeled, std::string prefix,
                   int64_t samples_per_shard, bool one_file = false);
  // `pixels`: C·H·W bytes, channel after channel. `label` is ignored without labels.
  void add(const uint8_t* pixels, int64_t label);
  // Writes what is left. Returns the number of pictures.
  int64_t finish();

 private:
  void write();

  DatasetWriter& writer_;
  ImageShape shape_;
  bool labeled_, one_file_;
  std::string prefix_;
  int64_t samples_per_shard_, total_ = 0, shards_ = 0;
  std::vector<uint8_t> pixels_;
  std::vector<int64_t> labels_;
};

// Deals pictures out to PREFIX-*.h5 and, with a share, to validation-*.h5.
class SplitShards {
 public:
  // Arguments as ImageShardWriter's. `share`: of the pictures that are held out.
  SplitShards(DatasetWriter& writer, const ImageShape& shape, bool labeled, std::string prefix,
              int64_t samples_per_shard, double share);
  void add(const uint8_t* pixels, int64_t label);
  // Writes what is left. Throws DataError naming `source` if a side of the split is empty.
  void finish(const std::string& source);
  int64_t images() const { return next_; }
  int64_t held_out() const { return held_out_; }

 private:
  ImageShardWriter kept_shards_, held_out_shards_;
  double share_;
  int64_t next_ = 0, held_out_ = 0;
};

}  // namespace lockstep
