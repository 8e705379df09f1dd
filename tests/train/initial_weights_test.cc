#include "train/initial_weights.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "core/files.h"
#include "tensor/safetensors.h"
#include "tests/train/tiny_run.h"

namespace lockstep {
namespace {

class TwoLayers : public Model {
 public:
  TwoLayers() {
    parameter("a.weight", at::zeros({2, 3}));
    parameter("b.weight", at::zeros({4}));
  }
};

class InitialWeights : public ::testing::Test {
 protected:
  std::string file_with(const NamedTensors& tensors) {
    const fs::path path = folder_.path() / "weights.safetensors";
    save_safetensors(path, tensors);
    return path.string();
  }
  testing::TemporaryFolder folder_;
  TwoLayers model_;
  InitOptions options_;
};

TEST_F(InitialWeights, AreTakenByName) {
  options_.from = file_with({{"b.weight", at::ones({4})}, {"a.weight", at::full({2, 3}, 2.0)}});
  EXPECT_EQ(apply_initial_weights(options_, model_, nullptr).taken.size(), 2u);
  EXPECT_EQ(model_.parameters()[0].tensor.sum().item<float>(), 12.0f);
  EXPECT_TRUE(model_.parameters()[0].tensor.requires_grad());
}

TEST_F(InitialWeights, RenamePrefixes) {
  options_.from = file_with({{"net.a.weight", at::ones({2, 3})}, {"net.b.weight", at::ones({4})}});
  options_.map = {"net.="};
  EXPECT_EQ(apply_initial_weights(options_, model_, nullptr).taken.size(), 2u);
}

TEST_F(InitialWeights, StrictRefusesWhatDoesNotFit) {
  options_.from = file_with({{"a.weight", at::ones({3, 2})}, {"b.weight", at::ones({4})}});
  EXPECT_THROW(apply_initial_weights(options_, model_, nullptr), ConfigError);
}

TEST_F(InitialWeights, LooseListsWhatWasSkipped) {
  options_.from = file_with(
      {{"a.weight", at::ones({3, 2})}, {"b.weight", at::ones({4})}, {"c", at::ones({1})}});
  options_.strict = false;
  const InitReport report = apply_initial_weights(options_, model_, nullptr);
  EXPECT_EQ(report.taken, std::vector<std::string>{"b.weight"});
  EXPECT_EQ(report.missing, std::vector<std::string>{"a.weight"});
  EXPECT_EQ(report.skipped, (std::vector<std::string>{"a.weight", "c"}));
}

TEST_F(InitialWeights, ComeFromARunOnAnotherModel) {
  const fs::path source = folder_.path() / "source";
  std::vector<std::string> overrides = testing::tiny_overrides(2);
  testing::train_on_threads(source, 1, overrides);
  overrides.push_back("init.from=" + (source / "checkpoints" / "latest").string());
  overrides.push_back("init.parts=[ema]");
  const fs::path target = folder_.path() / "target";
  EXPECT_EQ(testing::train_on_threads(target, 1, overrides), 2);
  EXPECT_FALSE(testing::checkpoint_bytes({source}, 2) == testing::checkpoint_bytes({target}, 2));
}

TEST_F(InitialWeights, ComeFromAFolderThatTheConverterWrote) {
  save_safetensors(folder_.path() / "model.safetensors",
                   {{"a.weight", at::ones({2, 3})}, {"b.weight", at::ones({4})}});
  save_safetensors(folder_.path() / "optimizer-00000-of-00001.safetensors",
                   {{"updates", at::scalar_tensor(7, at::kLong)}});
  write_file_atomic(folder_.path() / "import.json",
                    R"({"format": "lockstep-import", "version": 1})");
  options_.from = folder_.path().string();
  options_.parts = {"model", "optimizer"};
  NamedTensors optimizer;
  EXPECT_EQ(apply_initial_weights(options_, model_, &optimizer).taken.size(), 2u);
  ASSERT_EQ(optimizer.size(), 1u);
  EXPECT_EQ(optimizer[0].tensor.item<int64_t>(), 7);

  options_.parts = {"ema"};
  EXPECT_THROW(apply_initial_weights(options_, model_, nullptr), ConfigError);
  options_.parts = {"model", "optimizer"};
  fs::remove(folder_.path() / "optimizer-00000-of-00001.safetensors");
  EXPECT_THROW(apply_initial_weights(options_, model_, nullptr), ConfigError);
  write_file_atomic(folder_.path() / "import.json",
                    R"({"format": "lockstep-import", "version": 2})");
  EXPECT_THROW(apply_initial_weights(options_, model_, nullptr), CheckpointError);
}

TEST_F(InitialWeights, AMissingSourceIsAConfigError) {
  options_.from = (folder_.path() / "nothing").string();
  EXPECT_THROW(apply_initial_weights(options_, model_, nullptr), ConfigError);
}

}  // namespace
}  // namespace lockstep
