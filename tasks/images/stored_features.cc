#include "tasks/images/stored_features.h"

#include <algorithm>

#include <cmath>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "core/freed_memory.h"
#include "data/parallel_for.h"

namespace lockstep {
namespace {

constexpr int64_t kChunksPerTrim = 8;

}  // namespace

EvaluationChunk feature_chunk(const at::Tensor& features, int64_t first,
                              const std::vector<int64_t>& pool) {
  // Kept features split the heap; without this 12,000 pictures took twice the memory of 2,000.
  if (first / kFeatureChunk % kChunksPerTrim == 0) give_back_freed_memory();
  const auto low = std::lower_bound(pool.begin(), pool.end(), first),
             high = std::lower_bound(low, pool.end(), first + features.size(0));
  std::vector<int64_t> rows(low, high);
  for (int64_t& row : rows) row -= first;
  const bool all = static_cast<int64_t>(rows.size()) == features.size(0);
  const at::Tensor kept =
      all ? features : features.index_select(0, at::tensor(rows, at::kLong).to(features.device()));
  if (!features.is_cpu()) return {{}, {kept}, Moments::sums_on_device(features)};
  return {Moments::of(features).to_sums(), {kept}, {}};
}

at::Tensor features_of(const ImageSource& source, const Inception& inception, FidResize resize,
                       int64_t first, int64_t count) {
  std::vector<at::Tensor> images(static_cast<size_t>(count));
  parallel_for(0, count, inception.device().is_cpu() ? 1 : num_threads(0),
               [&](int64_t i) { images[static_cast<size_t>(i)] = source.read(first + i); });
  return inception_features(inception, images, resize);
}

StoredFeatures::StoredFeatures(std::shared_ptr<const ImageSource> source,
                               std::shared_ptr<Inception> inception, FidResize resize,
                               int64_t images, bool tf32)
    : source_(std::move(source)),
      inception_(std::move(inception)),
      resize_(resize),
      images_(images),
      tf32_(tf32),
      pool_(kid_pool(images)) {}

void StoredFeatures::compute_on(at::Device device) { bring(*inception_, device, tf32_); }

int64_t StoredFeatures::num_chunks() const { return (images_ + kFeatureChunk - 1) / kFeatureChunk; }

EvaluationChunk StoredFeatures::chunk(Model&, int64_t index) const {
  const int64_t first = index * kFeatureChunk, count = std::min(kFeatureChunk, images_ - first);
  return feature_chunk(features_of(*source_, *inception_, resize_, first, count), first, pool_);
}

void bring(Inception& inception, at::Device device, bool tf32) {
  if (inception.device() != device || !device.is_cpu()) inception.place(device, tf32);
}

FeatureStatistics statistics_from(const std::string& name, const std::vector<double>& sums,
                                  const std::vector<EvaluationChunk>& chunks, int64_t dimensions) {
  std::vector<at::Tensor> features;
  for (const EvaluationChunk& chunk : chunks)
    if (!chunk.tensors.empty()) features.push_back(chunk.tensors[0]);
  // Those of the host were looked at picture by picture.
  if (!std::all_of(sums.begin(), sums.end(), [](double sum) { return std::isfinite(sum); }))
    throw NumericError("the features of " + name + " are not finite",
                       "do the pictures, or the weights of Inception, hold NaN or infinities?");
  return statistics_of(name, Moments::from_sums(sums, dimensions), at::cat(features));
}

}  // namespace lockstep
