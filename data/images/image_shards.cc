#include "data/images/image_shards.h"

#include <ATen/ATen.h>

namespace lockstep {

std::vector<ArrayInfo> image_arrays(const ImageShape& shape, bool labeled) {
  std::vector<ArrayInfo> arrays{{"images", at::kByte, {shape.channels, shape.height, shape.width}}};
  if (labeled) arrays.push_back({"labels", at::kLong, {}});
  return arrays;
}

ImageShardWriter::ImageShardWriter(DatasetWriter& writer, const ImageShape& shape, bool labeled,
                                   std::string prefix, int64_t samples_per_shard, bool one_file)
    : writer_(writer),
      shape_(shape),
      labeled_(labeled),
      one_file_(one_file),
      prefix_(std::move(prefix)),
      samples_per_shard_(samples_per_shard) {}

void ImageShardWriter::add(const uint8_t* pixels, int64_t label) {
  pixels_.insert(pixels_.end(), pixels, pixels + shape_.bytes());
  labels_.push_back(label);
  ++total_;
  if (!one_file_ && static_cast<int64_t>(labels_.size()) == samples_per_shard_) write();
}

int64_t ImageShardWriter::finish() {
  if (!labels_.empty()) write();
  return total_;
}

void ImageShardWriter::write() {
  const auto count = static_cast<int64_t>(labels_.size());
  const std::vector<ArrayInfo> infos = image_arrays(shape_, labeled_);
  std::vector<ArrayValues> values;
  values.push_back({infos[0],
                    at::from_blob(pixels_.data(),
                                  {count, shape_.channels, shape_.height, shape_.width}, at::kByte),
                    {}});
  if (labeled_) values.push_back({infos[1], at::from_blob(labels_.data(), {count}, at::kLong), {}});
  writer_.add_shard(one_file_ ? prefix_ + ".h5" : shard_name(prefix_, shards_++), count,
                    std::move(values));
  pixels_.clear();
  labels_.clear();
}

}  // namespace lockstep
