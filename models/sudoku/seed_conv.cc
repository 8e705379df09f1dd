// Legend of shapes: N grids, C hidden_dim, E embedding_dim, H W rows and columns (9).
#include "models/sudoku/seed_conv.h"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "kernels/map_order.h"
#include "kernels/norms/group_norm_silu.h"
#include "models/sudoku/digit_vectors.h"

namespace lockstep {
namespace {

constexpr int64_t kSide = 9;
constexpr double kGroupNormEpsilon = 1e-5;  // PyTorch's default

void check(const SeedConvOptions& options) {
  if (options.kernel_size % 2 == 0)
    throw ConfigError(
        fmt::format("task.model.kernel_size is {}: the grid would not keep its 9 x 9 cells",
                    options.kernel_size),
        "use an odd size");
  if (options.hidden_dim % options.num_groups != 0)
    throw ConfigError(
        fmt::format("task.model.num_groups {} does not divide task.model.hidden_dim {}",
                    options.num_groups, options.hidden_dim),
        "GroupNorm needs channels in groups of equal size");
  if (!options.embedding.empty() && options.embedding_dim == 0)
    throw ConfigError(
        "task.model.embedding is given, and task.model.embedding_dim is 0, which means no "
        "embedding",
        "set task.model.embedding_dim to the width of that embedding");
}

}  // namespace

SeedConv::SeedConv(const SeedConvOptions& options, uint64_t seed) : options_(options) {
  check(options);
  at::Generator generator = at::detail::createCPUGenerator(seed);
  // PyTorch's defaults: uniform ±1/√inputs for weights (Kaiming with a = √5) and biases alike.
  auto layer = [&](const std::string& name, std::vector<int64_t> shape) {
    int64_t inputs = 1;
    for (size_t i = 1; i < shape.size(); ++i) inputs *= shape[i];
    const double bound = 1 / std::sqrt(static_cast<double>(inputs));
    const int64_t outputs = shape.front();
    Layer made;
    made.weight = parameter(name + ".weight",
                            at::empty(shape, at::kFloat).uniform_(-bound, bound, generator));
    made.bias = parameter(name + ".bias",
                          at::empty({outputs}, at::kFloat).uniform_(-bound, bound, generator));
    return made;
  };
  const int64_t channels = options.hidden_dim, k = options.kernel_size;
  auto norm = [&](const std::string& name) {
    return Layer{parameter(name + ".weight", at::ones({channels})),
                 parameter(name + ".bias", at::zeros({channels}))};
  };
  if (options.embedding_dim > 0)
    embedding_ = parameter(
        "embedding_layer.weight",
        at::empty({kDigitClasses, options.embedding_dim}, at::kFloat).normal_(0, 1, generator));
  time_0_ = layer("time_embed.0", {channels, 1});
  time_2_ = layer("time_embed.2", {channels, channels});
  conv_in_ = layer("conv_in", {channels, std::max<int64_t>(1, options.embedding_dim), k, k});
  for (int64_t i = 0; i < options.num_layers; ++i) {
    const std::string name = "conv_blocks." + std::to_string(i) + ".";
    const Layer conv_0 = layer(name + "0", {channels, channels, k, k});
    const Layer norm_1 = norm(name + "1");
    const Layer conv_3 = layer(name + "3", {channels, channels, k, k});
    blocks_.push_back({conv_0, norm_1, conv_3, norm(name + "4")});
  }
  conv_out_ = layer("conv_out", {channels, channels, k, k});
  position_0_ = layer("position_head.0", {channels, channels * kGridCells});
  position_2_ = layer("position_head.2", {kGridCells, channels});
  value_0_ = layer("value_head.0", {channels, channels * kGridCells});
  value_2_ = layer("value_head.2", {kDigitClasses, channels});
}

at::Tensor SeedConv::convolve(const Layer& layer, const at::Tensor& x_NCHW) const {
  const int64_t padding = options_.kernel_size / 2;
  // On CPUs oneDNN brings the weights into an order of its own.
  const at::Tensor weight = convolution_weight(layer.weight, map_order("auto", device()));
  return at::conv2d(x_NCHW, weight, layer.bias, at::IntArrayRef{1, 1},
                    at::IntArrayRef{padding, padding});
}

at::Tensor SeedConv::norm_silu(const Layer& layer, const at::Tensor& x_NCHW,
                               const at::Tensor& residual) const {
  return group_norm_silu(x_NCHW, options_.num_groups, layer.weight, layer.bias, kGroupNormEpsilon,
                         residual);
}

at::Tensor SeedConv::embed(const at::Tensor& cells) const {
  if (!embedding_.defined()) return (cells.to(at::kFloat) / 4.5 - 1).view({-1, 1, kSide, kSide});
  const at::Tensor vectors = digit_vectors(embedding_, cells);  // [N,81,E]
  return vectors.view({-1, kSide, kSide, options_.embedding_dim}).permute({0, 3, 1, 2});
}

SeedLogits SeedConv::logits(const at::Tensor& cells, const at::Tensor& times) const {
  if (cells.device() != device()) {
    const SeedLogits there = logits(cells.to(device()), times.to(device()));
    return {there.position.to(cells.device()), there.value.to(cells.device())};
  }
  const auto linear = [](const Layer& layer, const at::Tensor& x) {
    return at::linear(x, layer.weight, layer.bias);
  };
  const at::Tensor time_N1 = (times / static_cast<double>(kGridCells)).unsqueeze(1);
  const at::Tensor time_NC = linear(time_2_, at::silu(linear(time_0_, time_N1)));
  at::Tensor h = (convolve(conv_in_, embed(cells)) + time_NC.unsqueeze(-1).unsqueeze(-1))
                     .contiguous(at::MemoryFormat::ChannelsLast);
  for (const Block& block : blocks_)
    h = norm_silu(block.norm_4,
                  convolve(block.conv_3, norm_silu(block.norm_1, convolve(block.conv_0, h))), h);
  // Channel-major, whatever the memory format.
  const at::Tensor flat =
      convolve(conv_out_, h).contiguous().view({-1, options_.hidden_dim * kGridCells});
  const auto head = [&](const Layer& first, const Layer& second) {
    return linear(second, at::silu(linear(first, flat))).to(at::kFloat);
  };
  return {head(position_0_, position_2_), head(value_0_, value_2_)};
}

}  // namespace lockstep
