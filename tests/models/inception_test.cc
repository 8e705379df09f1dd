#include "models/inception/inception.h"

#include <gtest/gtest.h>

#include "core/errors.h"
#include "tests/harness/inception_weights.h"
#include "tests/harness/scratch_folder.h"

namespace lockstep {
namespace {

// Features of pytorch-fid's network: tests/eval/golden/make_fid.py.
at::Tensor golden(const std::string& name) {
  static const SafetensorsFile file(LOCKSTEP_SOURCE_DIR "/tests/eval/golden/fid.safetensors");
  return file.load(name);
}

TEST(Inception, GivesTheFeaturesOfPytorchFidAfterEveryBlock) {
  ScratchFolder folder;
  save_inception_weights(folder / "w.safetensors", 2048);
  const at::Tensor x =
      (hashed_numbers(999, 2 * 3 * 96 * 96) * 2 - 1).to(at::kFloat).reshape({2, 3, 96, 96});
  for (const int64_t dimensions : {64, 192, 768, 2048}) {
    const Inception inception(folder / "w.safetensors", dimensions);
    const at::Tensor expected = golden("features." + std::to_string(dimensions)),
                     ours = inception.features(x);
    ASSERT_EQ(ours.sizes(), expected.sizes());
    EXPECT_LT((ours - expected).norm().item<float>() / expected.norm().item<float>(), 2e-6)
        << dimensions;
  }
}

TEST(Inception, TakesTheNamesOfPytorchFidsWrapperAndOnlyTheLayersItNeeds) {
  ScratchFolder folder;
  save_inception_weights(folder / "plain.safetensors", 64);
  NamedTensors wrapped = inception_weights(64);
  for (NamedTensor& entry : wrapped) {
    const size_t dot = entry.name.find('.');
    const std::string layer = entry.name.substr(0, dot);
    entry.name = (layer == "Conv2d_1a_3x3"   ? "blocks.0.0"
                  : layer == "Conv2d_2a_3x3" ? "blocks.0.1"
                                             : "blocks.0.2") +
                 entry.name.substr(dot);
  }
  wrapped.push_back({"blocks.0.0.bn.num_batches_tracked", at::zeros({}, at::kLong)});
  save_safetensors(folder / "wrapped.safetensors", wrapped);
  const at::Tensor x = at::linspace(-1, 1, 3 * 80 * 80).reshape({1, 3, 80, 80});
  EXPECT_TRUE(Inception(folder / "plain.safetensors", 64)
                  .features(x)
                  .equal(Inception(folder / "wrapped.safetensors", 64).features(x)));
  EXPECT_THROW(Inception(folder / "plain.safetensors", 192), DataError);
}

TEST(Inception, RefusesOtherNetworks) {
  ScratchFolder folder;
  const auto message = [&](const NamedTensors& tensors) {
    save_safetensors(folder / "w.safetensors", tensors);
    try {
      Inception(folder / "w.safetensors", 64);
    } catch (const DataError& error) {
      return error.message();
    }
    return std::string("accepted");
  };
  NamedTensors weights = inception_weights(64);
  weights.push_back({"fc.weight", at::zeros({1000, 2048})});
  EXPECT_NE(message(weights).find("torchvision"), std::string::npos);
  weights.back() = {"layer1.0.conv1.weight", at::zeros({3})};
  EXPECT_NE(message(weights).find("unknown tensor 'layer1.0.conv1.weight'"), std::string::npos);
  weights.pop_back();
  weights[0].tensor = at::zeros({32, 3, 3, 5});
  EXPECT_NE(message(weights).find("[32, 3, 3, 5], not Float [32, 3, 3, 3]"), std::string::npos)
      << message(weights);
  weights = inception_weights(64);
  weights[1].tensor[0] = NAN;
  EXPECT_NE(message(weights).find("not finite"), std::string::npos);
  EXPECT_THROW(Inception(folder / "w.safetensors", 100), ConfigError);
}

}  // namespace
}  // namespace lockstep
