// Inception's features of stored pictures as an evaluation, so that ranks and threads share the
// work.
#pragma once

#include <memory>
#include <string>

#include "eval/feature_statistics.h"
#include "eval/image_source.h"
#include "tasks/task.h"

namespace lockstep {

// Pictures a chunk: fixed, since it decides how sums are added up.
inline constexpr int64_t kFeatureChunk = 64;

// Moments of `features` [B, D] as sums, and the rows that KID keeps as the one tensor; all where
// the features lie. The pictures are first … first+B−1 of those `pool` (rising) chooses from.
EvaluationChunk feature_chunk(const at::Tensor& features, int64_t first,
                              const std::vector<int64_t>& pool);

// Features of pictures first … first+count−1 of `source`, read on all cores if the network lies on
// a device.
at::Tensor features_of(const ImageSource& source, const Inception& inception, FidResize resize,
                       int64_t first, int64_t count);

// Chunk i: features of pictures 64·i … of `source`. The model it is given does not matter. Gives no
// scores: its sums and tensors go to statistics_from. The network goes where the models are.
class StoredFeatures : public Evaluation {
 public:
  // Of the first `images` pictures of `source`.
  StoredFeatures(std::shared_ptr<const ImageSource> source, std::shared_ptr<Inception> inception,
                 FidResize resize, int64_t images, bool tf32 = false);
  std::vector<ScoreInfo> declared_scores() const override { return {}; }
  int64_t num_chunks() const override;
  void compute_on(at::Device device) override;
  EvaluationChunk chunk(Model& model, int64_t index) const override;
  Scores scores(const std::vector<double>&) const override { return {}; }

 private:
  std::shared_ptr<const ImageSource> source_;
  std::shared_ptr<Inception> inception_;
  FidResize resize_;
  int64_t images_;
  bool tf32_;
  std::vector<int64_t> pool_;
};

// Brings `inception` to `device` unless it is there.
void bring(Inception& inception, at::Device device, bool tf32);

// What rank 0 gets out of such chunks. Throws DataError for fewer than 2 pictures, NumericError if
// features are not finite.
FeatureStatistics statistics_from(const std::string& name, const std::vector<double>& sums,
                                  const std::vector<EvaluationChunk>& chunks, int64_t dimensions);

}  // namespace lockstep
