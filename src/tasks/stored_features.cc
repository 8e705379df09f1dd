#include "tasks/stored_features.h"

#include <algorithm>

#include <ATen/ATen.h>

namespace lockstep {

EvaluationChunk feature_chunk(const at::Tensor& features, int64_t first, const std::vector<int64_t>& pool) {
  const auto low = std::lower_bound(pool.begin(), pool.end(), first), high = std::lower_bound(low, pool.end(), first + features.size(0));
  std::vector<int64_t> rows(low, high);
  for (int64_t& row : rows) row -= first;
  const bool all = static_cast<int64_t>(rows.size()) == features.size(0);
  return {Moments::of(features).to_sums(), {all ? features : features.index_select(0, at::tensor(rows, at::kLong))}};
}

at::Tensor features_of(const ImageSource& source, const Inception& inception, FidResize resize, int64_t first, int64_t count) {
  std::vector<at::Tensor> images;
  for (int64_t i = first; i < first + count; ++i) images.push_back(source.read(i));
  return inception_features(inception, images, resize);
}

StoredFeatures::StoredFeatures(std::shared_ptr<const ImageSource> source, std::shared_ptr<const Inception> inception, FidResize resize,
                               int64_t images)
    : source_(std::move(source)), inception_(std::move(inception)), resize_(resize), images_(images), pool_(kid_pool(images)) {}

int64_t StoredFeatures::num_chunks() const { return (images_ + kFeatureChunk - 1) / kFeatureChunk; }

EvaluationChunk StoredFeatures::chunk(Model&, int64_t index) const {
  const int64_t first = index * kFeatureChunk, count = std::min(kFeatureChunk, images_ - first);
  return feature_chunk(features_of(*source_, *inception_, resize_, first, count), first, pool_);
}

FeatureStatistics statistics_from(const std::string& name, const std::vector<double>& sums,
                                  const std::vector<EvaluationChunk>& chunks, int64_t dimensions) {
  std::vector<at::Tensor> features;
  for (const EvaluationChunk& chunk : chunks)
    if (!chunk.tensors.empty()) features.push_back(chunk.tensors[0]);
  return statistics_of(name, Moments::from_sums(sums, dimensions), at::cat(features));
}

}  // namespace lockstep
