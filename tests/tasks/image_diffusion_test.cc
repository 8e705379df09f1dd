// The image_diffusion task: losses against denoising-diffusion-pytorch
// (golden/make_image_losses.py), randomness by sample and step, drawing, evaluations.
#include <cmath>
#include <filesystem>
#include <numeric>

#include <gtest/gtest.h>

#include "core/errors.h"
#include "models/unet/unet_options.h"
#include "tasks/images/image_diffusion_task.h"
#include "tasks/images/image_drawing.h"
#include "tasks/images/image_evaluations.h"
#include "tasks/images/image_nearest.h"
#include "tasks/images/immiscible.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

const at::Tensor& golden(const std::string& name) {
  static const NamedTensors all =
      load_safetensors(LOCKSTEP_SOURCE_DIR "/tests/tasks/golden/image_losses.safetensors");
  const at::Tensor* found = find_tensor(all, name);
  if (found == nullptr) throw InternalError("no golden tensor " + name);
  return *found;
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).to(at::kDouble).norm() / b.to(at::kDouble).norm().clamp_min(1e-6)).item<double>();
}

// The golden file's network.
at::Tensor formula(const at::Tensor& x, const at::Tensor& t, int64_t timesteps) {
  return 0.6 * x +
         0.3 * at::sin(2 * x +
                       (t.to(at::kFloat) / static_cast<double>(timesteps)).reshape({-1, 1, 1, 1}));
}

void check_losses(const std::string& name, const DiffusionOptions& options, bool learned) {
  const GaussianDiffusion diffusion(options, 0.001);
  const NoisedBatch batch = diffusion.noised(golden("x"), golden("t"), golden("noise"));
  at::Tensor output = formula(batch.x, batch.t, options.timesteps);
  if (learned) output = at::cat({output, at::cos(batch.x)}, 1);
  output.set_requires_grad(true);
  const at::Tensor losses = diffusion.losses(output, batch);
  EXPECT_LT(relative(losses, golden(name + ".losses")), 1e-5) << name;
  const at::Tensor gradient = torch::autograd::grad({losses.mean()}, {output})[0];
  EXPECT_LT(relative(gradient, golden(name + ".gradient")), 1e-4) << name;
}

TEST(GaussianDiffusion, LossesAndGradientsAreUpstreams) {
  for (const char* objective : {"pred_noise", "pred_x0", "pred_v"}) {
    DiffusionOptions options;
    options.timesteps = 50;
    options.beta_schedule = "cosine";
    options.objective = objective;
    check_losses(objective, options, false);
    options.min_snr_loss_weight = true;
    options.min_snr_gamma = 2;
    check_losses(std::string(objective) + ".min_snr", options, false);
  }
  DiffusionOptions options;
  options.timesteps = 50;
  options.beta_schedule = "cosine";
  options.objective = "pred_noise";
  check_losses("learned", options, true);
}

TEST(Immiscible, FindsTheLeastCostAsSciPy) {
  const at::Tensor& costs = golden("costs");
  const auto* first = costs.const_data_ptr<double>();
  const std::vector<int64_t> columns = least_cost_assignment({first, first + costs.numel()}, 40);
  double sum = 0;
  for (size_t i = 0; i < 40; ++i) sum += first[i * 40 + static_cast<size_t>(columns[i])];
  EXPECT_NEAR(sum, golden("least_cost").item<double>(), 1e-12);
  EXPECT_TRUE(at::equal(paired_noise(golden("x"), golden("noise")),
                        golden("noise").index_select(0, golden("pairing"))));
}

// Pictures of one colour each in memory.
class Colours : public Dataset {
 public:
  explicit Colours(int64_t size, std::vector<int64_t> shape = {3, 8, 8})
      : size_(size), arrays_{{"images", at::kByte, std::move(shape)}} {}
  int64_t size() const override { return size_; }
  const std::vector<ArrayInfo>& arrays() const override { return arrays_; }
  std::string content_hash() const override { return "colours"; }
  Batch read(std::span<const int64_t> ids) const override {
    Batch batch;
    batch.ids.assign(ids.begin(), ids.end());
    std::vector<int64_t> shape = arrays_[0].shape;
    shape.insert(shape.begin(), batch.rows());
    at::Tensor images = at::zeros(shape, at::kByte);
    for (int64_t row = 0; row < batch.rows(); ++row)
      if (ids[static_cast<size_t>(row)] >= 0) {
        images[row].fill_((ids[static_cast<size_t>(row)] * 37) % 256);
        images.select(0, row).select(2, 0).fill_(255);  // a left edge, so that mirroring shows
      }
    batch.arrays["images"] = images;
    return batch;
  }

 private:
  int64_t size_;
  std::vector<ArrayInfo> arrays_;
};

ImageDiffusionOptions small_options() {
  ImageDiffusionOptions options;
  options.image_size = 8;
  UnetOptions unet;
  unet.dim = 8;
  unet.dim_mults = {1, 2};
  unet.attn_heads.one = 2;
  unet.attn_dim_head.one = 4;
  auto typed = std::make_shared<OptionsOf<UnetOptions>>();
  typed->value = unet;
  options.model.options = typed;
  return options;
}

UnetOptions& unet_of(ImageDiffusionOptions& options) {
  return dynamic_cast<OptionsOf<UnetOptions>&>(*options.model.options).value;
}

Batch rows(const Dataset& data, std::vector<int64_t> ids) { return data.read(ids); }

TEST(ImageDiffusionTask, LossOfASampleDependsOnSampleAndStepAlone) {
  const Colours data(20);
  for (const bool extras : {false, true}) {
    ImageDiffusionOptions options = small_options();
    if (extras) {
      unet_of(options).dropout = 0.2;
      unet_of(options).self_condition = true;
      options.diffusion.offset_noise_strength = 0.1;
    }
    const auto task = make_image_diffusion_task(options);
    task->check(data);
    const auto model = task->make_model(5);
    const at::NoGradGuard no_grad;
    const StepContext context{17, 3};
    const auto sum = [&](std::vector<int64_t> ids) {
      return task->loss(*model, rows(data, ids), context).sum.item<double>();
    };
    const double together = sum({4, 9, 11, 2, 7, 0});
    double apart = 0;
    for (int64_t id : {0, 2, 4, 7, 9, 11}) apart += sum({id});
    EXPECT_NEAR(together, apart, 1e-5 * apart);
    EXPECT_NE(sum({4}), task->loss(*model, rows(data, {4}), {17, 4}).sum.item<double>());
    const Loss padded = task->loss(*model, rows(data, {4, -1}), context);
    EXPECT_EQ(padded.count, 1);
    EXPECT_NEAR(padded.sum.item<double>(), sum({4}), 1e-5);
  }
}

// As a recorded step does: the loss is a function of tensors at fixed places, and another step's
// numbers in them give that step's masks.
TEST(ImageDiffusionTask, DropsWhatTheNumbersInItsInputsSay) {
  const Colours data(20);
  ImageDiffusionOptions options = small_options();
  unet_of(options).dropout = 0.3;
  for (const char* order : {"channels_first", "channels_last"}) {
    unet_of(options).memory_format = order;
    const auto task = make_image_diffusion_task(options);
    const auto model = task->make_model(5);
    const at::NoGradGuard no_grad;
    const auto inputs_at = [&](int64_t step) {
      return task->loss_inputs(rows(data, {4, 9, 2}), {17, step, 1});
    };
    LossInputs places;
    for (const auto& [name, tensor] : inputs_at(3).tensors) places.tensors[name] = tensor.clone();
    const auto replayed = [&](int64_t step) {
      for (const auto& [name, tensor] : inputs_at(step).tensors) places.tensors[name].copy_(tensor);
      return task->loss_tensors(*model, places).sum.item<double>();
    };
    const auto loss_at = [&](int64_t step) {
      return task->loss(*model, rows(data, {4, 9, 2}), {17, step, 1}).sum.item<double>();
    };
    const double third = replayed(3);
    EXPECT_EQ(third, loss_at(3));
    EXPECT_EQ(replayed(4), loss_at(4));
    EXPECT_EQ(replayed(3), third);
    places.tensors["dropout"][1] = 4;  // the step alone
    EXPECT_NE(task->loss_tensors(*model, places).sum.item<double>(), third);
  }
}

TEST(ImageDiffusionTask, RefusesWhatDoesNotFit) {
  const auto refuses = [](const std::function<void(ImageDiffusionOptions&)>& change,
                          const Dataset& data) {
    ImageDiffusionOptions options = small_options();
    change(options);
    EXPECT_ANY_THROW(make_image_diffusion_task(options)->check(data));
  };
  const Colours data(4);
  EXPECT_NO_THROW(make_image_diffusion_task(small_options())->check(data));
  refuses([](auto& o) { o.image_size = 16; }, data);
  refuses([](auto& o) { unet_of(o).channels = 1; }, data);
  refuses([](auto& o) { o.image_size = 9; }, Colours(4, {3, 9, 9}));
  refuses([](auto& o) { unet_of(o).learned_sinusoidal_cond = true; }, data);
  refuses([](auto& o) { unet_of(o).out_dim = 5; }, data);
  refuses([](auto& o) { unet_of(o).learned_variance = true; }, data);  // with pred_v
}

TEST(PictureDrawer, APictureDependsNeitherOnTheBatchNorOnItsNeighbours) {
  const ImageDiffusion images(small_options());
  const auto model = make_image_diffusion_task(small_options())->make_model(5);
  for (const char* kind : {"ddim", "dpmpp_2m"}) {
    Choice sampler(sampler_kinds(), kind);
    const PictureDrawer drawer(images, sampler, 17);
    const at::Tensor all = drawer.draw(*model, 0, 6, 6);
    const at::Tensor some = drawer.draw(*model, 3, 2, 6);
    EXPECT_TRUE(at::equal(all.narrow(0, 3, 2), some));
    EXPECT_LT(relative(drawer.draw(*model, 4, 1, 1), all.narrow(0, 4, 1)), 1e-4);
    EXPECT_GT(relative(all[0], all[1]), 0.01);
  }
}

TEST(ImageEvaluations, ValidationLossCountsEachSampleOnce) {
  const Colours data(10);
  const auto images = std::make_shared<const ImageDiffusion>(small_options());
  const auto model = make_image_diffusion_task(small_options())->make_model(5);
  const at::NoGradGuard no_grad;
  const auto score = [&](int64_t batch) {
    ValidationLossOptions options;
    options.samples = 100;
    options.batch = batch;
    const auto evaluation = make_image_validation_loss(options, {images, &data, {17, 0}});
    std::vector<double> sums(2);
    for (int64_t i = 0; i < evaluation->num_chunks(); ++i) {
      const EvaluationChunk chunk = evaluation->chunk(*model, i);
      for (size_t k = 0; k < 2; ++k) sums[k] += chunk.sums[k];
    }
    EXPECT_EQ(sums[1], 10);
    return evaluation->scores(sums).at("validation_loss");
  };
  EXPECT_NEAR(score(4), score(10), 1e-5);
}

TEST(ImageEvaluations, GridDrawsAPicture) {
  const auto images = std::make_shared<const ImageDiffusion>(small_options());
  const auto model = make_image_diffusion_task(small_options())->make_model(5);
  const at::NoGradGuard no_grad;
  GridOptions options;
  options.images = 5;
  options.batch = 4;
  const auto evaluation = make_image_grid(options, {images, nullptr, {17, 0}});
  std::vector<EvaluationChunk> chunks;
  for (int64_t i = 0; i < evaluation->num_chunks(); ++i)
    chunks.push_back(evaluation->chunk(*model, i));
  const std::string path = ::testing::TempDir() + "/grid.png";
  EXPECT_TRUE(evaluation->draw(chunks, path));
  EXPECT_GT(std::filesystem::file_size(path), 100u);
}

TEST(ImageEvaluations, NearestComparesDrawnWithHeldOutPictures) {
  const Colours train(10), held_out(7);  // the same pictures again: their distance is 0
  const auto images = std::make_shared<const ImageDiffusion>(small_options());
  const auto model = make_image_diffusion_task(small_options())->make_model(5);
  const at::NoGradGuard no_grad;
  const auto sums_of = [&](int64_t batch) {
    NearestOptions options;
    options.images = 5;
    options.batch = batch;
    options.sampler = Choice(sampler_kinds(), "dpmpp_2m");  // 20 steps
    const auto evaluation = make_image_nearest(
        options, {images, {&held_out, [&]() -> const Dataset& { return train; }}, {17, 0}});
    std::vector<double> sums(4);
    for (int64_t i = 0; i < evaluation->num_chunks(); ++i) {
      const EvaluationChunk chunk = evaluation->chunk(*model, i);
      for (size_t k = 0; k < 4; ++k) sums[k] += chunk.sums.at(k);
    }
    EXPECT_NEAR(evaluation->scores({6, 2, 8, 4}).at("nearest_ratio"), 1.5, 1e-12);
    return sums;
  };
  const std::vector<double> sums = sums_of(3);
  EXPECT_EQ(sums[1], 5);
  EXPECT_EQ(sums[3], 5);
  EXPECT_GT(sums[0] / sums[1], 0.05);  // an untrained network's
  EXPECT_EQ(sums[2], 0);
  EXPECT_NEAR(sums[0], sums_of(5)[0], 0.02);
  EXPECT_THROW(make_image_nearest({}, {images, &held_out, {17, 0}}),
               ConfigError);  // no training data
}

TEST(ImageDiffusionTask, ForwardGivesLossesFromNoise) {
  ImageDiffusionOptions options = small_options();
  const auto task = make_image_diffusion_task(options);
  const auto model = task->make_model(5);
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::sin(at::arange(2 * 3 * 8 * 8).to(at::kFloat)).reshape({2, 3, 8, 8}),
                   t = at::tensor({3, 700});
  const NamedTensors plain = task->forward(*model, {{"x", x}, {"t", t}});
  ASSERT_EQ(plain.size(), 1u);
  EXPECT_EQ(plain[0].name, "prediction");
  const NamedTensors with_loss = task->forward(*model, {{"x", x}, {"t", t}, {"noise", x.flip(0)}});
  EXPECT_NEAR(find_tensor(with_loss, "losses")->mean().item<double>(),
              find_tensor(with_loss, "loss")->item<double>(), 1e-7);
  EXPECT_THROW(task->forward(*model, {{"x", x.narrow(3, 0, 7)}, {"t", t}}), DataError);
  EXPECT_THROW(task->forward(*model, {{"x", x.narrow(1, 0, 2)}, {"t", t}}), DataError);
  EXPECT_THROW(task->forward(*model, {{"x", x}, {"t", t}, {"y", t}}), DataError);
  EXPECT_THROW(task->forward(*model, {{"x", x}, {"t", t + 300}, {"noise", x}}), DataError);
}

}  // namespace
}  // namespace lockstep
