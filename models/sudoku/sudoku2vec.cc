// Legend of shapes: N rows, L cells (81), E embedding_dim, H heads, D attention_dim / H.
#include "models/sudoku/sudoku2vec.h"

#include <cmath>
#include <numbers>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "models/sudoku/digit_vectors.h"

namespace lockstep {
namespace {}  // namespace

Sudoku2Vec::Sudoku2Vec(const Sudoku2VecOptions& options, uint64_t seed) : options_(options) {
  if (options.attention_dim % options.num_heads != 0)
    throw ConfigError(
        fmt::format("task.model.num_heads {} does not divide task.model.attention_dim {}",
                    options.num_heads, options.attention_dim));
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const int64_t width = options.embedding_dim + 2, attention = options.attention_dim;
  const auto xavier = [&](int64_t outputs, int64_t inputs) {
    const double bound = std::sqrt(6.0 / static_cast<double>(inputs + outputs));
    return at::empty({outputs, inputs}, at::kFloat).uniform_(-bound, bound, generator);
  };
  embed_ = parameter(
      "embed.weight",
      at::empty({kDigitClasses, options.embedding_dim}, at::kFloat).normal_(0, 1, generator));
  qkv_weight_ = parameter("attention.qkv_proj.weight", xavier(3 * attention, width));
  qkv_bias_ = parameter("attention.qkv_proj.bias", at::zeros({3 * attention}));
  o_weight_ = parameter("attention.o_proj.weight", xavier(width, attention));
  o_bias_ = parameter("attention.o_proj.bias", at::zeros({width}));
  const at::Tensor angle =
      at::arange(kGridCells, at::kDouble) * (2 * std::numbers::pi / kGridCells);
  places_ = constant(at::stack({angle.cos(), angle.sin()}, 1).to(at::kFloat));
}

at::Tensor Sudoku2Vec::predict(const at::Tensor& cells, const at::Tensor& target) const {
  if (cells.device() != device())
    return predict(cells.to(device()), target.to(device())).to(cells.device());
  const int64_t rows = cells.size(0), heads = options_.num_heads,
                d = options_.attention_dim / heads;
  const at::Tensor masked = cells.to(at::kLong).scatter(1, target.unsqueeze(1), 0);
  const at::Tensor x_NLE =
      at::cat({digit_vectors(embed_, masked), places_.expand({rows, kGridCells, 2})}, -1);
  const at::Tensor qkv_NLH3D =
      at::linear(x_NLE, qkv_weight_, qkv_bias_).view({rows, kGridCells, heads, 3 * d});
  const std::vector<at::Tensor> qkv =
      qkv_NLH3D.permute({0, 2, 1, 3}).chunk(3, -1);  // [N,H,L,D] each
  const at::Tensor index = target.view({rows, 1, 1, 1}).expand({rows, heads, 1, d});
  const at::Tensor q_NH1D = qkv[0].gather(2, index);
  const at::Tensor weights = at::softmax(
      at::matmul(q_NH1D, qkv[1].transpose(-2, -1)) / std::sqrt(static_cast<double>(d)), -1);
  const at::Tensor mixed = at::matmul(weights, qkv[2]).reshape({rows, options_.attention_dim});
  return at::linear(mixed, o_weight_, o_bias_).narrow(1, 0, options_.embedding_dim).to(at::kFloat);
}

at::Tensor Sudoku2Vec::similarity(const at::Tensor& predictions) const {
  if (predictions.device() != device())
    return similarity(predictions.to(device())).to(predictions.device());
  return at::cosine_similarity(predictions.unsqueeze(1), embed_.unsqueeze(0), -1, 1e-8);
}

}  // namespace lockstep
