// The UNets against denoising-diffusion-pytorch (golden/make_unet.py).
#include <cmath>
#include <tuple>

#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "core/philox.h"
#include "models/models.h"
#include "models/philox_dropout.h"
#include "models/unet/class_unet.h"
#include "models/unet/unet.h"
#include "tensor/safetensors.h"
#include "tests/models/hashed_weights.h"
#include "tests/models/sudoku_inputs.h"

namespace lockstep {
namespace {

using testing::fill_hashed;
using testing::hashed;

const NamedTensors& golden_file() {
  static const NamedTensors all =
      load_safetensors(LOCKSTEP_SOURCE_DIR "/tests/models/golden/unet.safetensors");
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

// In both orders of maps: channels last, the kernels' twins compute the norms.
class UnetGolden : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  UnetGolden() : name_(std::get<0>(GetParam())) {
    UnetOptions options = options_of(name_);
    options.memory_format = std::get<1>(GetParam());
    unet_ = make_unet(options, 1);
    fill_hashed(*unet_, golden_file(), name_);
  }
  at::Tensor predict() {
    DenoiserInput input{golden(name_ + ".x"), golden(name_ + ".t"), {}, {}, {}};
    if (unet_->facts().self_condition) input.self_condition = golden(name_ + ".x_self_cond");
    return unet_->predict(input);
  }
  std::string name_;
  std::unique_ptr<Denoiser> unet_;
};
INSTANTIATE_TEST_SUITE_P(Options, UnetGolden,
                         ::testing::Combine(::testing::Values("plain", "full", "self_condition",
                                                              "one_channel", "learned_variance",
                                                              "learned_time", "random_time"),
                                            ::testing::Values("channels_first", "channels_last")));

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
    const double product =
        (mine * hashed(static_cast<int64_t>(numbers[0]), mine.numel())).sum().item<double>();
    EXPECT_NEAR(product, numbers[2], 5e-5 * (std::abs(numbers[1]) * std::sqrt(mine.numel())) + 1e-9)
        << key;
  }
}

class ClassUnetGolden : public ::testing::TestWithParam<const char*> {
 protected:
  ClassUnetGolden() {
    ClassUnetOptions options;
    options.dim = 8;
    options.num_classes = 5;
    options.dim_mults = {1, 2};
    options.attn_heads = 2;
    options.attn_dim_head = 8;
    options.memory_format = GetParam();
    unet_ = make_class_unet(options, 1);
    fill_hashed(*unet_, golden_file(), "classes");
    input_ = {golden("classes.x"), golden("classes.t"), {}, golden("classes.classes"), {}};
  }
  std::unique_ptr<Denoiser> unet_;
  DenoiserInput input_;
};

INSTANTIATE_TEST_SUITE_P(MemoryFormat, ClassUnetGolden,
                         ::testing::Values("channels_first", "channels_last"));

TEST_P(ClassUnetGolden, PredictsAsUpstreamWithHiddenClasses) {
  input_.classes =
      at::where(golden("classes.keep"), input_.classes, at::full_like(input_.classes, -1));
  const at::Tensor prediction = unet_->predict(input_);
  EXPECT_LT(relative(prediction.detach(), golden("classes.prediction")), 1e-5);
  const auto gradients = testing::gradients_of(prediction.square().mean(), unet_->parameters());
  for (size_t i = 0; i < gradients.size(); ++i) {
    const at::Tensor& expected = golden("classes.gradient." + unet_->parameters()[i].name);
    const double norm = expected.const_data_ptr<double>()[1];
    EXPECT_EQ(expected.const_data_ptr<double>()[0], static_cast<double>(i))
        << "order of " << unet_->parameters()[i].name;
    EXPECT_NEAR(gradients[i].to(at::kDouble).norm().item<double>(), norm, 2e-5 * norm + 1e-9)
        << unet_->parameters()[i].name;
  }
}

TEST_P(ClassUnetGolden, GuidesAsUpstream) {
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
  const at::Tensor key = dropout_numbers(17, 4, {10, 11, 12}),
                   other_order = dropout_numbers(17, 4, {12, 10, 11});
  const at::Tensor other_step = dropout_numbers(17, 5, {10, 11, 12});
  const at::Tensor order = at::tensor({2, 0, 1});
  const at::Tensor a = unet->predict({x, t, {}, {}, key});
  const at::Tensor b =
      unet->predict({x.index_select(0, order), t.index_select(0, order), {}, {}, other_order});
  EXPECT_LT(relative(b, a.index_select(0, order)), 1e-6);
  EXPECT_GT(relative(unet->predict({x, t, {}, {}, other_step}), a), 1e-3);
  EXPECT_GT(relative(unet->predict({x, t, {}, {}, {}}), a), 1e-3);
}

// The mask by the stream's own numbers, element by element, in float32 and bfloat16.
TEST(Unet, DropoutMasksAreThoseOfTheStreamInBothOrders) {
  const Stream stream(17, Purpose::kDropout);
  const at::Tensor x = at::sin(at::arange(2 * 5 * 3 * 4).to(at::kFloat)).reshape({2, 5, 3, 4});
  const std::vector<int64_t> ids = {7, (int64_t{1} << 33) + 1};
  at::Tensor factors = at::empty({2, 60});
  for (int64_t row = 0; row < 2; ++row)
    for (int64_t e = 0; e < 60; ++e)
      factors[row][e] = stream.uniform(static_cast<uint64_t>(ids[static_cast<size_t>(row)]), 9,
                                       static_cast<uint64_t>(64 + e)) < 0.4f
                            ? 0.0f
                            : static_cast<float>(1 / 0.6);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    for (const MapOrder order : {MapOrder::kChannelsFirst, MapOrder::kChannelsLast}) {
      at::Tensor leaf = x.to(type).detach().requires_grad_(true);
      const at::Tensor y = philox_dropout(leaf, dropout_numbers(17, 9, ids), 0.4, 64, order);
      const at::Tensor wanted = factors.view({2, 5, 3, 4}).to(type);
      EXPECT_TRUE(at::equal(y, leaf * wanted)) << type;
      y.backward(x.to(type));
      EXPECT_TRUE(at::equal(leaf.grad(), x.to(type) * wanted)) << type;
    }
}

// bfloat16 autocast, as training has it.
class Autocast {
 public:
  explicit Autocast(bool on) {
    at::autocast::set_autocast_enabled(at::kCPU, on);
    at::autocast::set_autocast_cache_enabled(false);
  }
  ~Autocast() {
    at::autocast::set_autocast_enabled(at::kCPU, false);
    at::autocast::set_autocast_cache_enabled(true);
  }
};

// One training pass with everything on, maps in `memory_format`: prediction and gradients.
std::vector<at::Tensor> training_pass(const std::string& memory_format, const std::string& compute,
                                      int64_t channels, int64_t side) {
  UnetOptions options;
  options.dim = 16;
  options.dim_mults = {1, 2, 4};
  options.full_attn.each = {false, true, true};
  options.channels = channels;
  options.self_condition = true;
  options.dropout = 0.2;
  options.memory_format = memory_format;
  const auto unet = make_unet(options, 5);
  const at::Tensor x = at::sin(at::arange(2 * channels * side * side).to(at::kFloat) * 0.7)
                           .reshape({2, channels, side, side});
  at::Tensor prediction;
  {
    const Autocast autocast(compute == "bf16");
    prediction =
        unet->predict({x, at::tensor({3, 700}), x * 0.5, {}, dropout_numbers(3, 11, {4, 9})});
  }
  EXPECT_TRUE(prediction.is_contiguous());
  std::vector<at::Tensor> out =
      testing::gradients_of((prediction - x).square().mean(), unet->parameters());
  out.push_back(prediction.detach());
  return out;
}

TEST(Unet, TrainsAlikeWithMapsInBothOrders) {
  struct Case {
    const char* compute;
    int64_t channels, side;
    double tolerance;  // of bfloat16: both sides round activations, in another order of additions
  };
  for (const Case& c : {Case{"fp32", 3, 8, 1e-4}, {"fp32", 1, 4, 1e-4}, {"bf16", 3, 8, 0.2}}) {
    const auto first = training_pass("channels_first", c.compute, c.channels, c.side),
               last = training_pass("channels_last", c.compute, c.channels, c.side);
    ASSERT_EQ(first.size(), last.size());
    EXPECT_LT(relative(last.back(), first.back()), c.tolerance / 10)
        << c.compute << ", " << c.channels;
    for (size_t i = 0; i < first.size(); ++i)
      EXPECT_LT(relative(last[i], first[i]), c.tolerance) << c.compute << ", tensor " << i;
  }
}

TEST(Unet, KeepsMapsChannelsLastOnGpusAlone) {
  EXPECT_EQ(map_order("auto", at::kCPU), MapOrder::kChannelsFirst);
  EXPECT_EQ(map_order("auto", at::Device(at::kCUDA, 0)), MapOrder::kChannelsLast);
  EXPECT_EQ(map_order("channels_last", at::kCPU), MapOrder::kChannelsLast);
  EXPECT_EQ(map_order("channels_first", at::Device(at::kCUDA, 0)), MapOrder::kChannelsFirst);
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
