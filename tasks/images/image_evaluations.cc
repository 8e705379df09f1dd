#include "tasks/images/image_evaluations.h"

#include <ATen/ATen.h>

#include "core/errors.h"
#include "core/philox.h"
#include "eval/image_grid.h"
#include "tasks/images/image_commands.h"
#include "tasks/images/image_drawing.h"
#include "tasks/images/image_fid.h"
#include "tasks/images/image_nearest.h"
#include "tensor/random.h"

namespace lockstep {
namespace {

class ImageValidationLoss : public Evaluation {
 public:
  ImageValidationLoss(const ValidationLossOptions& options, const ImageEvaluationInput& input)
      : images_(input.images),
        data_(*input.data.validation),
        seed_(input.context.seed),
        batch_(options.batch),
        samples_(std::min(options.samples, data_.size())) {}

  int64_t num_chunks() const override { return (samples_ + batch_ - 1) / batch_; }

  // Sums: losses, samples. The last chunk is filled up with padding, which counts nothing.
  EvaluationChunk chunk(Model& model, int64_t index) const override {
    std::vector<int64_t> ids;
    for (int64_t i = index * batch_; i < (index + 1) * batch_; ++i)
      ids.push_back(i < samples_ ? i : -1);
    Batch batch = data_.read(ids);
    batch.ids = ids;
    const at::Tensor start = pictures_to_signal(batch.array("images"));
    const Stream stream(seed_, Purpose::kEvaluation);
    at::Tensor t = at::empty({batch_}, at::kLong);
    const auto timesteps = static_cast<uint32_t>(images_->diffusion.schedule().timesteps);
    for (int64_t row = 0; row < batch_; ++row)
      t.mutable_data_ptr<int64_t>()[row] =
          stream.below(static_cast<uint64_t>(ids[static_cast<size_t>(row)]), 0, 0, timesteps);
    const at::Tensor noise = random_normal(stream, ids, 1, start.sizes().slice(1).vec());
    const NoisedBatch noised = images_->diffusion.noised(start, t, noise);
    DenoiserInput input{noised.x, noised.t, {}, {}, {}};
    if (as_denoiser(model).facts().num_classes > 0)
      input.classes = labels_of(batch, as_denoiser(model).facts());
    const at::Tensor output = as_denoiser(model).predict(input);
    const at::Tensor losses = images_->diffusion.losses(output, noised).to(at::kDouble);
    EvaluationChunk result{{0, 0}, {}, {}};
    for (size_t row = 0; row < ids.size() && ids[row] >= 0; ++row) {
      result.sums[0] += losses.const_data_ptr<double>()[row];
      result.sums[1] += 1;
    }
    return result;
  }

  std::vector<ScoreInfo> declared_scores() const override { return {{"validation_loss", true}}; }
  Scores scores(const std::vector<double>& sums) const override {
    return {{"validation_loss", sums.at(0) / sums.at(1)}};
  }

 private:
  std::shared_ptr<const ImageDiffusion> images_;
  const Dataset& data_;
  uint64_t seed_;
  int64_t batch_, samples_;
};

class ImageGrid : public Evaluation {
 public:
  ImageGrid(const GridOptions& options, const ImageEvaluationInput& input)
      : images_(input.images),
        batch_(std::min(options.batch, options.images)),
        count_(options.images),
        drawer_(*images_, options.sampler, input.context.seed) {}

  int64_t num_chunks() const override { return (count_ + batch_ - 1) / batch_; }

  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const int64_t first = index * batch_;
    const at::Tensor x = drawer_.draw(model, first, std::min(batch_, count_ - first), batch_,
                                      [this] { piece_done(); });
    return {{}, {signal_to_pictures(x)}, {}};
  }

  int64_t pieces() const override { return drawer_.steps(); }
  std::vector<ScoreInfo> declared_scores() const override { return {}; }
  Scores scores(const std::vector<double>&) const override { return {}; }

  bool draw(const std::vector<EvaluationChunk>& chunks,
            const std::string& png_path) const override {
    std::vector<at::Tensor> parts;
    for (const EvaluationChunk& chunk : chunks) parts.push_back(chunk.tensors.at(0));
    write_png(png_path, image_grid(at::cat(parts)));
    return true;
  }

 private:
  std::shared_ptr<const ImageDiffusion> images_;
  int64_t batch_, count_;
  PictureDrawer drawer_;
};

// What an evaluation that draws or scores pictures needs of the network.
void check_network(const ImageEvaluationInput& input) {
  input.images->check(denoisers().make(input.images->options.model, 0)->facts());
}

}  // namespace

const ImageEvaluationTable& image_evaluations() {
  static const ImageEvaluationTable table = [] {
    ImageEvaluationTable rows("evaluation");
    rows.add<ValidationLossOptions>("validation_loss", "loss on held-out samples",
                                    make_image_validation_loss);
    rows.add<GridOptions>("grid", "pictures drawn from the model", make_image_grid);
    rows.add<NearestOptions>("nearest", "distance of drawn pictures to the data",
                             [](const NearestOptions& options, const ImageEvaluationInput& input) {
                               check_network(input);
                               return make_image_nearest(options, input);
                             });
    rows.add<FidOptions>("fid", "FID and KID of drawn pictures",
                         [](const FidOptions& options, const ImageEvaluationInput& input) {
                           check_network(input);
                           return make_image_fid(options, input);
                         });
    return rows;
  }();
  return table;
}

std::unique_ptr<Evaluation> make_image_validation_loss(const ValidationLossOptions& options,
                                                       const ImageEvaluationInput& input) {
  if (input.data.validation == nullptr)
    throw ConfigError("evaluation validation_loss needs validation data", "set data.validation");
  const DenoiserFacts facts = denoisers().make(input.images->options.model, 0)->facts();
  input.images->check(facts);
  check_pictures(*input.data.validation, input.images->options, facts);
  return std::make_unique<ImageValidationLoss>(options, input);
}

std::unique_ptr<Evaluation> make_image_grid(const GridOptions& options,
                                            const ImageEvaluationInput& input) {
  check_network(input);
  return std::make_unique<ImageGrid>(options, input);
}

}  // namespace lockstep
