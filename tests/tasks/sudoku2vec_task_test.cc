// The embedding pre-trainer against PyTorch (golden/make_sudoku2vec.py), and its way into the
// seed's network.
#include "tasks/sudoku_seed/sudoku2vec_task.h"

#include <filesystem>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/errors.h"
#include "models/sudoku/digit_vectors.h"
#include "models/sudoku/seed_conv.h"
#include "tasks/tasks.h"
#include "tensor/safetensors.h"
#include "tests/tasks/toy_sudoku.h"

namespace lockstep {
namespace {

using testing::toy_grid;
using testing::ToyDataset;

struct GoldenCase {
  const char* file;
  Sudoku2VecOptions net;
};

class Sudoku2VecGolden : public ::testing::TestWithParam<GoldenCase> {};
INSTANTIATE_TEST_SUITE_P(Networks, Sudoku2VecGolden,
                         ::testing::Values(GoldenCase{"sudoku2vec.safetensors", {10, 9, 1}},
                                           GoldenCase{"sudoku2vec_heads.safetensors", {4, 9, 3}}));

TEST_P(Sudoku2VecGolden, CosinesLossAndGradientsAgree) {
  const NamedTensors golden =
      load_safetensors(std::string(LOCKSTEP_SOURCE_DIR "/tests/tasks/golden/") + GetParam().file);
  const auto task = make_sudoku2vec_task({GetParam().net, 3});
  const auto model = task->make_model(1);
  NamedTensors weights;
  for (const NamedTensor& entry : golden)
    if (entry.name.starts_with("weight.")) weights.push_back({entry.name.substr(7), entry.tensor});
  model->load(weights, "the golden file");
  const auto error = [&](const at::Tensor& got, const std::string& name) {
    return (got - *find_tensor(golden, name)).abs().max().item<double>();
  };
  const NamedTensors outputs = task->forward(*model, {{"cells", *find_tensor(golden, "cells")},
                                                      {"target", *find_tensor(golden, "target")}});
  EXPECT_LT(error(*find_tensor(outputs, "similarity"), "similarity"), 1e-5);
  EXPECT_LT(error(*find_tensor(outputs, "loss"), "loss"), 1e-5);
  std::vector<at::Tensor> leaves;
  for (const NamedTensor& parameter : model->parameters()) leaves.push_back(parameter.tensor);
  const auto gradients = torch::autograd::grad({*find_tensor(outputs, "loss")}, leaves);
  for (size_t i = 0; i < leaves.size(); ++i)
    EXPECT_LT(error(gradients[i], "grad." + model->parameters()[i].name), 1e-5)
        << model->parameters()[i].name;
}

ToyDataset grids(int count) {
  std::vector<SudokuBoard> solutions;
  for (int i = 0; i < count; ++i) solutions.push_back(toy_grid(i));
  return {solutions, {}};
}

TEST(Sudoku2VecTask, CountsTheMaskedCellsOfRowsThatAreNoPadding) {
  const auto task = make_sudoku2vec_task({});
  const auto model = task->make_model(3);
  const std::vector<int64_t> ids = {2, -1, 0};
  const Loss loss = task->loss(*model, grids(3).read(ids), {17, 5});
  EXPECT_EQ(loss.count, 6);
  EXPECT_EQ(loss.guesses, 6);
  EXPECT_GE(loss.sum.item<double>(), 0);
  EXPECT_LE(loss.sum.item<double>(), 12);
  EXPECT_EQ(task->nominal_count(4), 12);
}

TEST(Sudoku2VecTask, ValidationIsTheSameInAnyBatch) {
  const auto task = make_sudoku2vec_task({});
  const auto model = task->make_model(3);
  const ToyDataset data = grids(9);
  const KindList kinds = evaluation_kinds();
  const auto scores = [&](int64_t batch) {
    Choice choice(kinds, "sudoku2vec_validation");
    dynamic_cast<OptionsOf<Sudoku2VecValidationOptions>&>(*choice.options).value.batch = batch;
    const auto evaluation = task->evaluation(choice, &data, {17, 0});
    const at::NoGradGuard no_grad;
    std::vector<double> sums(3);
    for (int64_t i = 0; i < evaluation->num_chunks(); ++i) {
      const EvaluationChunk chunk = evaluation->chunk(*model, i);
      for (size_t k = 0; k < sums.size(); ++k) sums[k] += chunk.sums[k];
    }
    return evaluation->scores(sums);
  };
  const Scores one = scores(9), two = scores(2);
  EXPECT_NEAR(one.at("validation_loss"), two.at("validation_loss"), 1e-6);
  EXPECT_EQ(one.at("validation_accuracy"), two.at("validation_accuracy"));
}

TEST(Sudoku2VecTask, RefusesWhatDoesNotFit) {
  EXPECT_THROW(make_sudoku2vec_task({{10, 9, 2}, 3})->make_model(1), ConfigError);
  const auto task = make_sudoku2vec_task({});
  const auto model = task->make_model(1);
  const at::Tensor cells = at::ones({2, 81}, at::kLong), target = at::zeros({2}, at::kInt);
  EXPECT_NO_THROW(task->forward(*model, {{"cells", cells}, {"target", target}}));
  EXPECT_THROW(task->forward(*model, {{"cells", cells * 0}, {"target", target}}), DataError);
  EXPECT_THROW(task->forward(*model, {{"cells", cells}, {"target", target + 81}}), DataError);
  EXPECT_THROW(task->forward(*model, {{"cells", cells}}), DataError);
  EXPECT_THROW(task->sample(*model, {}), ConfigError);
  EXPECT_THROW(task->evaluation(Choice(evaluation_kinds(), "solve"), nullptr, {17, 0}),
               ConfigError);
}

// --- its embedding in the seed's network ---

struct EmbeddingFile {
  std::string path = ::testing::TempDir() + "/embedding.safetensors";
  EmbeddingFile(const std::string& name, std::vector<int64_t> shape) {
    save_safetensors(path, {{name, at::arange(shape[0] * shape[1], at::kFloat).view(shape)},
                            {"other", at::zeros({1})}});
  }
};

TEST(SeedEmbedding, IsTakenFromAFile) {
  const EmbeddingFile file("embed.weight", {10, 6});
  SeedConv net({.hidden_dim = 4,
                .num_layers = 0,
                .num_groups = 2,
                .embedding_dim = 6,
                .embedding = file.path},
               1);
  net.load_embedding();
  EXPECT_TRUE(at::equal(net.parameters().front().tensor, at::arange(60, at::kFloat).view({10, 6})));
  EXPECT_EQ(net.parameters().front().name, "embedding_layer.weight");
}

TEST(SeedEmbedding, OfAnotherWidthIsRefusedWithBothWidths) {
  const EmbeddingFile file("embed.weight", {10, 6});
  SeedConv net({.hidden_dim = 4,
                .num_layers = 0,
                .num_groups = 2,
                .embedding_dim = 8,
                .embedding = file.path},
               1);
  try {
    net.load_embedding();
    FAIL() << "loaded";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("is 6 wide"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("embedding_dim is 8"), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(read_digit_embedding(EmbeddingFile("weights", {10, 6}).path), DataError);
  EXPECT_THROW(read_digit_embedding(EmbeddingFile("embed.weight", {9, 6}).path), DataError);
  EXPECT_THROW(read_digit_embedding("no/such/run"), ConfigError);
}

// What GPUs compute, on the CPU.
TEST(DigitVectors, AsAProductHaveTheValuesAndGradientsOfAnEmbedding) {
  const at::Tensor cells = at::arange(2 * 81).remainder(10).view({2, 81}).to(at::kByte);
  const at::Tensor table = at::sin(at::arange(10 * 6).to(at::kFloat)).view({10, 6}),
                   upstream = at::cos(at::arange(2 * 81 * 6).to(at::kFloat)).view({2, 81, 6});
  const at::Tensor a = table.clone().requires_grad_(true), b = table.clone().requires_grad_(true);
  const at::Tensor looked_up = digit_vectors(a, cells),
                   product = digit_vectors_by_product(b, cells);
  EXPECT_TRUE(at::equal(looked_up, product));
  looked_up.backward(upstream);
  product.backward(upstream);
  EXPECT_TRUE(at::allclose(a.grad(), b.grad(), 1e-5, 1e-5));
}

}  // namespace
}  // namespace lockstep
