#include "data/images/image_shards.h"

#include <ATen/ATen.h>

#include "data/validation_split.h"

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
  if (!one_file_ && (static_cast<int64_t>(labels_.size()) == samples_per_shard_ ||
                     pixels_.size() >= kMostShardBytes))
    write();
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

SplitShards::SplitShards(DatasetWriter& writer, const ImageShape& shape, bool labeled,
                         std::string prefix, int64_t samples_per_shard, double share)
    : kept_shards_(writer, shape, labeled, std::move(prefix), samples_per_shard),
      held_out_shards_(writer, shape, labeled, kHeldOutPrefix, samples_per_shard),
      share_(share) {}

void SplitShards::add(const uint8_t* pixels, int64_t label) {
  const bool held_out = is_held_out(next_++, share_);
  held_out_ += held_out;
  (held_out ? held_out_shards_ : kept_shards_).add(pixels, label);
}

void SplitShards::finish(const std::string& source) {
  check_split(next_ - held_out_, held_out_, share_, source);
  kept_shards_.finish();
  held_out_shards_.finish();
}

}  // namespace lockstep
