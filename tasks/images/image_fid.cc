#include "tasks/images/image_fid.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "eval/image_source.h"
#include "eval/statistics_cache.h"
#include "tasks/images/image_drawing.h"
#include "tasks/images/stored_features.h"
#include "tensor/device.h"

namespace lockstep {
namespace {

std::shared_ptr<const ImageSource> open_reference(const std::string& reference,
                                                  const EvaluationData& data) {
  if (reference == "train") {
    if (!data.train)
      throw ConfigError("evaluation fid compares with data.train, which is not there",
                        "set its `reference`");
    return images_of(data.train());
  }
  if (reference != "validation") return open_image_source(reference);
  if (data.validation == nullptr)
    throw ConfigError("evaluation fid has `reference: validation`, and data.validation is not set",
                      "set data.validation");
  return images_of(*data.validation);
}

std::shared_ptr<Inception> open_inception(const FidOptions& options) {
  const std::string cure =
      "make it from your copy of pytorch-fid's weights: scripts/convert inception "
      "pt_inception-2015-12-05-6726825d.pth " +
      (options.inception.empty() ? "weights/inception.safetensors" : options.inception);
  if (options.inception.empty())
    throw ConfigError("evaluation fid needs `inception`, the file of Inception's weights", cure);
  if (!std::filesystem::exists(options.inception))
    throw DataError("the weights of FID's Inception are not there: " + options.inception,
                    cure + ", or leave out the evaluation");
  return std::make_shared<Inception>(options.inception, options.features);
}

int64_t count_reference(const FidOptions& options, const ImageSource& reference) {
  const int64_t count = options.reference_images == 0 ? reference.size() : options.reference_images;
  if (reference.size() < 2)
    throw DataError(
        fmt::format("the reference of evaluation fid has {} picture{}", reference.size(),
                    reference.size() == 1 ? "" : "s"),
        "FID needs the spread of at least 2 pictures, and means little below some thousands");
  if (count < 2 || count > reference.size())
    throw ConfigError(fmt::format("evaluation fid wants {} reference pictures, there are {}", count,
                                  reference.size()),
                      "change reference_images; 0 takes all");
  return count;
}

class ImageFid : public Evaluation {
 public:
  ImageFid(const FidOptions& options, const ImageEvaluationInput& input)
      : options_(options),
        images_(input.images),
        batch_(std::min(options.batch, options.images)),
        drawer_(*images_, options.sampler, input.context.seed),
        inception_(open_inception(options)),
        resize_(fid_resize_of(options.resize)),
        source_(open_reference(options.reference, input.data)),
        num_reference_(count_reference(options, *source_)),
        pool_(kid_pool(options.images)),
        reference_features_(source_, inception_, resize_, num_reference_, options.tf32) {}

  std::vector<ScoreInfo> declared_scores() const override {
    return {{"fid", true}, {"kid", true}, {"kid_deviation", true}};
  }
  int64_t num_chunks() const override { return (options_.images + batch_ - 1) / batch_; }
  int64_t pieces() const override { return drawer_.steps(); }

  void compute_on(at::Device device) override {
    options_.tf32 = options_.tf32 && !device.is_cpu();
    bring(*inception_, device, options_.tf32);
    device_ = device.is_cpu() ? "cpu" : make_cuda_device(device.index())->describe();
  }

  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const int64_t first = index * batch_, count = std::min(batch_, options_.images - first);
    const at::Tensor x = drawer_.draw(model, first, count, batch_, [this] { piece_done(); });
    const at::Tensor drawn =
        options_.round ? signal_to_pictures(x) : ((x + 1) * 127.5).clamp(0, 255);
    std::vector<at::Tensor> pictures;
    for (int64_t i = 0; i < count; ++i)
      pictures.push_back(drawn.size(1) == 1 ? drawn[i].expand({3, drawn.size(2), drawn.size(3)})
                                            : drawn[i].slice(0, 0, 3));
    return feature_chunk(inception_features(*inception_, pictures, resize_), first, pool_);
  }

  Evaluation* reference() override { return &reference_features_; }

  bool find_reference() override {
    kept_ = find_statistics(statistics_folder(options_.cache), key(), "the reference");
    return kept_.has_value();
  }

  void take_reference(const std::vector<double>& sums,
                      const std::vector<EvaluationChunk>& chunks) override {
    kept_ = statistics_from("the reference", sums, chunks, options_.features);
    keep_statistics(statistics_folder(options_.cache), key(), *kept_);
  }

  Scores scores(const std::vector<double>&) const override {
    throw InternalError("FID needs the features of its chunks");
  }

  Scores scores(const std::vector<double>& sums,
                const std::vector<EvaluationChunk>& chunks) const override {
    const FidScore score =
        fid_score(statistics_from("the drawn pictures", sums, chunks, options_.features), *kept_,
                  inception_->device());
    return {{"fid", score.fid}, {"kid", score.kid->mean}, {"kid_deviation", score.kid->deviation}};
  }

  std::map<std::string, std::string> record() const override {
    std::map<std::string, std::string> out = {
        {"features", std::to_string(options_.features)},
        {"images", std::to_string(options_.images)},
        {"inception", inception_->weights_hash()},
        {"reference", options_.reference},
        {"reference_images", std::to_string(num_reference_)},
        {"resize", options_.resize},
        {"round", options_.round ? "true" : "false"},
        {"sampler", fmt::format("{}, {} steps", options_.sampler.kind, drawer_.steps())}};
    if (!device_.empty()) out["device"] = device_;  // once something was computed
    if (options_.tf32) out["tf32"] = "true";
    return out;
  }

  std::vector<std::string> notes() const override {
    std::vector<std::string> out;
    for (const auto& [side, count] :
         {std::pair<const char*, int64_t>{"evaluation fid: the drawn side", options_.images},
          std::pair<const char*, int64_t>{"evaluation fid: the reference", num_reference_}})
      if (const auto note = few_pictures(side, count, options_.features)) out.push_back(*note);
    return out;
  }

 private:
  StatisticsKey key() const {
    return {source_->content_hash(),
            num_reference_,
            {options_.features, options_.resize, inception_->weights_hash(), options_.tf32}};
  }

  FidOptions options_;
  std::shared_ptr<const ImageDiffusion> images_;
  int64_t batch_;
  PictureDrawer drawer_;
  std::shared_ptr<Inception> inception_;
  FidResize resize_;
  std::shared_ptr<const ImageSource> source_;
  int64_t num_reference_;
  std::vector<int64_t> pool_;
  std::string device_;  // where features are computed
  StoredFeatures reference_features_;
  std::optional<FeatureStatistics> kept_;  // rank 0 only
};

}  // namespace

std::unique_ptr<Evaluation> make_image_fid(const FidOptions& options,
                                           const ImageEvaluationInput& input) {
  Inception::layers(options.features);  // refuses other numbers
  return std::make_unique<ImageFid>(options, input);
}

}  // namespace lockstep
