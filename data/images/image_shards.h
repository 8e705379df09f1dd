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
// shard in memory.
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

}  // namespace lockstep
