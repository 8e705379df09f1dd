// The UNets against denoising-diffusion-pytorch (golden/make_unet.py).
#include <cmath>

#include <gtest/gtest.h>

#include "core/errors.h"
#include "models/class_unet.h"
#include "models/models.h"
#include "models/unet.h"
#include "tensor/safetensors.h"
#include "tests/models/hashed_weights.h"
#include "tests/models/sudoku_inputs.h"

namespace lockstep {
namespace {

using testing::fill_hashed;
using testing::hashed;

const NamedTensors& golden_file() {
  static const NamedTensors all = load_safetensors(LOCKSTEP_SOURCE_DIR "/tests/models/golden/unet.safetensors");
  return all;
}
const at::Tensor& golden(const std::string& name) {
  const at::Tensor* found = find_tensor(golden_file(), name);
  if (found == nullptr) throw InternalError("no golden tensor " + name);
  return *found;
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).to(at::kDouble).norm() / b.to(at::kDouble).norm().clamp_min(1e-6)).item<double>();
}

UnetOptions options_of(const std::string& name) {
  UnetOptions o;
  o.dim = 8;
  o.dim_mults = {1, 2};
  if (name == "full") {
    o.dim_mults = {1, 2, 2};
    o.full_attn.each = {true, false, true};
    o.attn_heads.each = {1, 2, 3};
    o.attn_dim_head.each = {8, 4, 4};
  } else if (name == "self_condition") {
    o.self_condition = true;
    o.attn_heads.one = 2;
  } else if (name == "one_channel") {
    o.init_dim = 12;
    o.channels = 1;
    o.attn_dim_head.one = 8;
  } else if (name == "learned_variance") {
    o.learned_variance = true;
    o.attn_dim_head.one = 8;
  } else if (name == "learned_time") {
    o.dim_mults = {1};
    o.learned_sinusoidal_cond = true;
    o.learned_sinusoidal_dim = 6;
    o.full_attn.each = {false};
  } else if (name == "random_time") {
    o.dim_mults = {1};
    o.random_fourier_features = true;
  }
  return o;
}

class UnetGolden : public ::testing::TestWithParam<const char*> {
 protected:
  UnetGolden() : name_(GetParam()), unet_(make_unet(options_of(name_), 1)) { fill_hashed(*unet_, golden_file(), name_); }
  at::Tensor predict() {
    DenoiserInput input{golden(name_ + ".x"), golden(name_ + ".t"), {}, {}, nullptr};
    if (unet_->facts().self_condition) input.self_condition = golden(name_ + ".x_self_cond");
    return unet_->predict(input);
  }
  std::string name_;
  std::unique_ptr<Denoiser> unet_;
};
INSTANTIATE_TEST_SUITE_P(Options, UnetGolden,
                         ::testing::Values("plain", "full", "self_condition", "one_channel", "learned_variance",
                                           "learned_time", "random_time"));

TEST_P(UnetGolden, PredictsAsUpstream) {
  const at::NoGradGuard no_grad;
  EXPECT_LT(relative(predict(), golden(name_ + ".prediction")), 1e-5);
}

TEST_P(UnetGolden, GivesUpstreamsGradientsByItsNames) {
  const auto gradients = testing::gradients_of(predict().square().mean(), unet_->parameters());
  for (size_t i = 0; i < gradients.size(); ++i) {
    const std::string& key = unet_->parameters()[i].name;
    const at::Tensor& expected = golden(name_ + ".gradient." + key);
    const auto* numbers = expected.const_data_ptr<double>();
    const at::Tensor mine = gradients[i].to(at::kDouble).flatten();
    const double norm = mine.norm().item<double>();
    if (name_ != "random_time") {  // there a buffer lies between
      EXPECT_EQ(numbers[0], static_cast<double>(i)) << "order of " << key;
    }
    EXPECT_NEAR(norm, numbers[1], 2e-5 * numbers[1] + 1e-9) << key;
    const double product = (mine * hashed(static_cast<int64_t>(numbers[0]), mine.numel())).sum().item<double>();
    EXPECT_NEAR(product, numbers[2], 5e-5 * (std::abs(numbers[1]) * std::sqrt(mine.numel())) + 1e-9) << key;
  }
}

class ClassUnetGolden : public ::testing::Test {
 protected:
  ClassUnetGolden() {
    ClassUnetOptions options;
    options.dim = 8;
    options.num_classes = 5;
    options.dim_mults = {1, 2};
    options.attn_heads = 2;
    options.attn_dim_head = 8;
    unet_ = make_class_unet(options, 1);
    fill_hashed(*unet_, golden_file(), "classes");
    input_ = {golden("classes.x"), golden("classes.t"), {}, golden("classes.classes"), nullptr};
  }
  std::unique_ptr<Denoiser> unet_;
  DenoiserInput input_;
};

TEST_F(ClassUnetGolden, PredictsAsUpstreamWithHiddenClasses) {
  input_.classes = at::where(golden("classes.keep"), input_.classes, at::full_like(input_.classes, -1));
  const at::Tensor prediction = unet_->predict(input_);
  EXPECT_LT(relative(prediction.detach(), golden("classes.prediction")), 1e-5);
  const auto gradients = testing::gradients_of(prediction.square().mean(), unet_->parameters());
  for (size_t i = 0; i < gradients.size(); ++i) {
    const at::Tensor& expected = golden("classes.gradient." + unet_->parameters()[i].name);
    const double norm = expected.const_data_ptr<double>()[1];
    EXPECT_EQ(expected.const_data_ptr<double>()[0], static_cast<double>(i)) << "order of " << unet_->parameters()[i].name;
    EXPECT_NEAR(gradients[i].to(at::kDouble).norm().item<double>(), norm, 2e-5 * norm + 1e-9) << unet_->parameters()[i].name;
  }
}

TEST_F(ClassUnetGolden, GuidesAsUpstream) {
  const at::NoGradGuard no_grad;
  GuidanceOptions guidance{3.0, 0, false, 0};
  EXPECT_LT(relative(predict_guided(*unet_, input_, guidance), golden("classes.guided.3.0")), 1e-5);
  guidance = {2.5, 0.7, true, 0.25};
  EXPECT_LT(relative(predict_guided(*unet_, input_, guidance), golden("classes.guided.2.5")), 1e-5);
}

TEST(Unet, HasTheNumbersOfParametersOfUpstream) {
  const auto count = [](const UnetOptions& options) {
    int64_t sum = 0;
    const auto unet = make_unet(options, 1);
    for (const NamedTensor& entry : unet->parameters()) sum += entry.tensor.numel();
    return sum;
  };
  UnetOptions options;
  EXPECT_EQ(count(options), 35711491);
  options.self_condition = true;
  EXPECT_EQ(count(options), 35720899);
  options.self_condition = false;
  options.channels = 1;
  EXPECT_EQ(count(options), 35705089);
  options.channels = 3;
  options.dim = 32;
  options.dim_mults = {1, 2, 4};
  EXPECT_EQ(count(options), 2610883);
}

TEST(Unet, DropoutDependsOnSampleAndStepAlone) {
  UnetOptions options = options_of("plain");
  options.dropout = 0.3;
  const auto unet = make_unet(options, 3);
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::sin(at::arange(3 * 3 * 8 * 8).to(at::kFloat)).reshape({3, 3, 8, 8});
  const at::Tensor t = at::tensor({1, 2, 3});
  const DropoutKey key{17, 4, {10, 11, 12}}, other_order{17, 4, {12, 10, 11}}, other_step{17, 5, {10, 11, 12}};
  const at::Tensor order = at::tensor({2, 0, 1});
  const at::Tensor a = unet->predict({x, t, {}, {}, &key});
  const at::Tensor b = unet->predict({x.index_select(0, order), t.index_select(0, order), {}, {}, &other_order});
  EXPECT_LT(relative(b, a.index_select(0, order)), 1e-6);
  EXPECT_GT(relative(unet->predict({x, t, {}, {}, &other_step}), a), 1e-3);
  EXPECT_GT(relative(unet->predict({x, t, {}, {}, nullptr}), a), 1e-3);
}

TEST(Unet, RefusesOptionsThatDoNotFitTogether) {
  UnetOptions options = options_of("plain");
  options.attn_heads.each = {1, 2, 3};
  EXPECT_THROW(make_unet(options, 1), ConfigError);
  options = options_of("plain");
  options.dim = 7;
  EXPECT_THROW(make_unet(options, 1), ConfigError);
  options.dim = 8;
  options.dim_mults = {};
  EXPECT_THROW(make_unet(options, 1), ConfigError);
}

}  // namespace
}  // namespace lockstep
