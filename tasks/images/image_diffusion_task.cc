#include "tasks/images/image_diffusion_task.h"

#include <mutex>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/philox.h"
#include "data/images/images_dataset.h"
#include "models/philox_dropout.h"
#include "tasks/images/image_commands.h"
#include "tasks/images/image_evaluations.h"
#include "tasks/images/immiscible.h"
#include "tensor/random.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

// How training draws a timestep: element 0 of (sample, step).
at::Tensor training_times(const std::vector<int64_t>& ids, const StepContext& context,
                          int64_t timesteps) {
  const Stream stream(context.seed, Purpose::kTimestep);
  at::Tensor t = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
  auto* out = t.mutable_data_ptr<int64_t>();
  for (const int64_t id : ids)
    *out++ = stream.below(static_cast<uint64_t>(id), static_cast<uint32_t>(context.step), 0,
                          static_cast<uint32_t>(timesteps));
  return t;
}

// The classes of a batch, -1 where training hides them: element 2 of (sample, step).
at::Tensor training_classes(const Batch& batch, const StepContext& context,
                            const DenoiserFacts& facts) {
  const Stream stream(context.seed, Purpose::kTimestep);
  at::Tensor classes = labels_of(batch, facts);
  for (int64_t row = 0; row < batch.rows(); ++row) {
    const auto id = static_cast<uint64_t>(batch.ids[static_cast<size_t>(row)]);
    if (stream.uniform(id, static_cast<uint32_t>(context.step), 2) <
        static_cast<float>(facts.class_drop))
      classes.mutable_data_ptr<int64_t>()[row] = -1;
  }
  return classes;
}

class ImageDiffusionTask : public Task, public DiffusionTask {
 public:
  explicit ImageDiffusionTask(const ImageDiffusionOptions& options)
      : images_(std::make_shared<const ImageDiffusion>(options)) {}

  std::unique_ptr<Model> make_model(uint64_t seed) const override {
    return denoisers().make(images_->options.model, seed);
  }

  void check(const Dataset& dataset) const override {
    images_->check(facts());
    check_pictures(dataset, images_->options, facts());
  }

  LossInputs loss_inputs(const Batch& batch, const StepContext& context) const override {
    LossInputs inputs;
    at::Tensor counted = at::zeros({batch.rows()});
    for (int64_t row = 0; row < batch.rows(); ++row) {
      if (batch.ids[static_cast<size_t>(row)] < 0) continue;  // padding
      counted.mutable_data_ptr<float>()[row] = 1;
      inputs.count += 1;
    }
    add_pictures_and_noise(inputs, batch, context);
    inputs.tensors["t"] = training_times(batch.ids, context, diffusion().schedule().timesteps);
    inputs.tensors["counted"] = counted;
    if (facts().num_classes > 0)
      inputs.tensors["classes"] = training_classes(batch, context, facts());
    if (facts().self_condition) add_self_condition(inputs, batch.ids, context);
    if (facts().dropout > 0)
      inputs.tensors["dropout"] = dropout_numbers(context.seed, context.step, batch.ids);
    return inputs;
  }

  LossTensors loss_tensors(Model& model, const LossInputs& inputs) const override {
    Denoiser& denoiser = as_denoiser(model);
    const NoisedBatch noised = diffusion().noised(pictures_to_signal(inputs.at("images")),
                                                  inputs.at("t"), inputs.at("noise"));
    DenoiserInput input{noised.x, noised.t, {}, {}, {}};
    if (inputs.tensors.contains("dropout")) input.dropout = inputs.at("dropout");
    if (inputs.tensors.contains("classes")) input.classes = inputs.at("classes");
    if (denoiser.facts().self_condition)
      input.self_condition = self_condition(denoiser, noised, inputs);
    return {(diffusion().losses(denoiser.predict(input), noised) * inputs.at("counted")).sum(), {}};
  }

  double nominal_count(int64_t rows) const override { return static_cast<double>(rows); }

  std::unique_ptr<Evaluation> evaluation(const Choice& choice, const EvaluationData& data,
                                         const StepContext& context) const override {
    return image_evaluations().make(choice, ImageEvaluationInput{images_, data, context});
  }

  NamedTensors forward(Model& model, const NamedTensors& inputs) const override {
    return forward_images(*images_, as_denoiser(model), inputs);
  }

  NamedTensors schedule_tables() const override { return diffusion().schedule().buffers(); }
  std::vector<SampleFlag> sample_flags() const override { return image_sample_flags(); }
  void sample(Model& model, const SampleRequest& request) const override {
    sample_images(*images_, as_denoiser(model), request);
  }

 private:
  const GaussianDiffusion& diffusion() const { return images_->diffusion; }

  // What the network is like, from one that is made for that: not before somebody asks.
  const DenoiserFacts& facts() const {
    std::call_once(facts_known_,
                   [this] { facts_ = denoisers().make(images_->options.model, 0)->facts(); });
    return facts_;
  }

  void add_pictures_and_noise(LossInputs& inputs, const Batch& batch,
                              const StepContext& context) const {
    const auto step = static_cast<uint32_t>(context.step);
    at::Tensor bytes = batch.array("images");
    if (images_->options.augment_horizontal_flip)
      bytes = mirror_by_sample(bytes, batch.ids, context.seed, step);
    // The numbers behind a picture's own are the noise of whole channels.
    const int64_t channels = bytes.size(1), elements = channels * bytes.size(2) * bytes.size(3);
    const at::Tensor numbers = random_normal(Stream(context.seed, Purpose::kNoise), batch.ids, step,
                                             {elements + channels});
    at::Tensor noise = numbers.narrow(1, 0, elements).reshape(bytes.sizes());
    const double offset = images_->options.diffusion.offset_noise_strength;
    if (offset > 0)
      noise = noise + offset * numbers.narrow(1, elements, channels).reshape({-1, channels, 1, 1});
    if (images_->options.diffusion.immiscible)
      noise = paired_noise(pictures_to_signal(bytes), noise);
    inputs.tensors["images"] = bytes.contiguous();
    inputs.tensors["noise"] = noise;
  }

  // Which samples get an estimate of their own: as a list, or, where shapes must not differ, as a
  // mask.
  static void add_self_condition(LossInputs& inputs, const std::vector<int64_t>& ids,
                                 const StepContext& context) {
    const Stream stream(context.seed, Purpose::kTimestep);
    std::vector<int64_t> rows;
    at::Tensor mask = at::zeros({static_cast<int64_t>(ids.size()), 1, 1, 1});
    for (size_t row = 0; row < ids.size(); ++row) {
      if (stream.below(static_cast<uint64_t>(ids[row]), static_cast<uint32_t>(context.step), 1,
                       2) != 1)
        continue;
      rows.push_back(static_cast<int64_t>(row));
      mask.mutable_data_ptr<float>()[row] = 1;
    }
    if (context.few_shapes > 0)
      inputs.tensors["estimated"] = mask;
    else
      inputs.tensors["estimated_rows"] = at::tensor(rows, at::kLong);
  }

  // The estimate from a first pass without gradients and dropout, for the samples that get one;
  // zeros for the others.
  at::Tensor self_condition(Denoiser& model, const NoisedBatch& batch,
                            const LossInputs& inputs) const {
    const at::NoGradGuard no_grad;
    if (inputs.tensors.contains("estimated"))
      return diffusion().estimate(model.predict({batch.x, batch.t, {}, {}, {}}), batch) *
             inputs.at("estimated");
    at::Tensor out = at::zeros_like(batch.x);
    const at::Tensor& chosen = inputs.at("estimated_rows");
    if (chosen.numel() == 0) return out;
    const auto pick = [&](const at::Tensor& all) { return all.index_select(0, chosen); };
    const NoisedBatch some{pick(batch.start), pick(batch.t), pick(batch.noise), pick(batch.x)};
    out.index_copy_(0, chosen,
                    diffusion().estimate(model.predict({some.x, some.t, {}, {}, {}}), some));
    return out;
  }

  std::shared_ptr<const ImageDiffusion> images_;
  mutable std::once_flag facts_known_;
  mutable DenoiserFacts facts_;
};

}  // namespace

std::unique_ptr<Task> make_image_diffusion_task(const ImageDiffusionOptions& options) {
  return std::make_unique<ImageDiffusionTask>(options);
}

}  // namespace lockstep
