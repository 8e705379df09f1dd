#include "models/unet/unet_layers.h"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "core/errors.h"
#include "kernels/norms/channel_norm.h"
#include "models/philox_dropout.h"

namespace lockstep {

LayerMaker::LayerMaker(Parameter parameter, uint64_t seed)
    : parameter_(std::move(parameter)),
      generator_(std::make_shared<at::Generator>(at::detail::createCPUGenerator(seed))) {}

at::Tensor LayerMaker::uniform(const std::string& name, const std::vector<int64_t>& shape,
                               int64_t inputs) const {
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  const at::Generator& generator = *generator_;
  return parameter_(name, at::empty(shape, at::kFloat).uniform_(-bound, bound, generator));
}

at::Tensor LayerMaker::normal(const std::string& name, const std::vector<int64_t>& shape) const {
  return parameter_(name, random(shape));
}

at::Tensor LayerMaker::random(const std::vector<int64_t>& shape) const {
  const at::Generator& generator = *generator_;
  return at::empty(shape, at::kFloat).normal_(0, 1, generator);
}

Convolution::Convolution(const LayerMaker& make, const std::string& name, int64_t inputs,
                         int64_t outputs, int64_t kernel, bool has_bias, int64_t stride)
    : stride(stride), padding((kernel - 1) / 2) {
  const int64_t fan_in = inputs * kernel * kernel;
  weight = make.uniform(name + ".weight", {outputs, inputs, kernel, kernel}, fan_in);
  if (has_bias) bias = make.uniform(name + ".bias", {outputs}, fan_in);
}

at::Tensor Convolution::operator()(const at::Tensor& x, MapOrder order) const {
  const at::Tensor y = at::conv2d(map_in_order(x, order), convolution_weight(weight, order), bias,
                                  {stride, stride}, {padding, padding});
  return map_in_order(y, order);
}

at::Tensor Convolution::of_squares(const at::Tensor& x, MapOrder order) const {
  if (order == MapOrder::kChannelsFirst) return (*this)(at::pixel_unshuffle(x, 2), order);
  // Channel 4c + 2i + j of the unshuffled map is x[c, 2h + i, 2w + j].
  const at::Tensor squares = weight.view({weight.size(0), weight.size(1) / 4, 2, 2});
  return map_in_order(
      at::conv2d(map_in_order(x, order), convolution_weight(squares, order), bias, {2, 2}), order);
}

Linear::Linear(const LayerMaker& make, const std::string& name, int64_t inputs, int64_t outputs)
    : weight(make.uniform(name + ".weight", {outputs, inputs}, inputs)),
      bias(make.uniform(name + ".bias", {outputs}, inputs)) {}

at::Tensor Linear::operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }

ChannelNorm::ChannelNorm(const LayerMaker& make, const std::string& name, int64_t channels)
    : g(make.constant(name + ".g", at::ones({1, channels, 1, 1}))) {}

at::Tensor ChannelNorm::operator()(const at::Tensor& x, MapOrder order) const {
  return order == MapOrder::kChannelsLast ? channel_norm_rows(x, g, {}, false) : channel_norm(x, g);
}

at::Tensor ChannelNorm::silu(const at::Tensor& x, const at::Tensor& scale_shift,
                             MapOrder order) const {
  return order == MapOrder::kChannelsLast ? channel_norm_rows(x, g, scale_shift, true)
                                          : channel_norm_silu(x, g, scale_shift);
}

at::Tensor Dropout::operator()(const at::Tensor& x, MapOrder order) {
  if (!numbers_.defined() || share_ == 0) return x;
  const int64_t first = first_, elements = x.numel() / std::max<int64_t>(x.size(0), 1);
  first_ += (elements + 3) / 4 * 4;
  return philox_dropout(x, numbers_, share_, first, order);
}

ResnetBlock::ResnetBlock(const LayerMaker& make, const std::string& name, int64_t inputs,
                         int64_t outputs, int64_t condition)
    : mlp(make, name + ".mlp.1", condition, 2 * outputs),
      proj1(make, name + ".block1.proj", inputs, outputs, 3),
      norm1(make, name + ".block1.norm", outputs) {
  proj2 = Convolution(make, name + ".block2.proj", outputs, outputs, 3);
  norm2 = ChannelNorm(make, name + ".block2.norm", outputs);
  if (inputs != outputs) skip = Convolution(make, name + ".res_conv", inputs, outputs, 1);
}

at::Tensor ResnetBlock::operator()(const at::Tensor& x, const at::Tensor& condition,
                                   UnetPass& pass) const {
  const MapOrder order = pass.order;
  at::Tensor h = pass.dropout(norm1.silu(proj1(x, order), mlp(condition), order), order);
  h = norm2.silu(proj2(h, order), {}, order);
  return h + (skip.weight.defined() ? skip(x, order) : x);
}

Attention::Attention(const LayerMaker& make, const std::string& name, int64_t channels, bool full,
                     const AttentionShape& shape)
    : full(full), shape(shape) {
  const int64_t hidden = shape.heads * shape.dim_head;
  const std::string inner = name + "." + shape.inner;
  if (shape.memory) {
    mem_kv = full ? make.normal(inner + "mem_kv", {2, shape.heads, 4, shape.dim_head})
                  : make.normal(inner + "mem_kv", {2, shape.heads, shape.dim_head, 4});
    norm = ChannelNorm(make, name + "." + shape.norm, channels);
  }
  to_qkv = Convolution(make, inner + "to_qkv", channels, 3 * hidden, 1, /*has_bias=*/false);
  to_out = Convolution(make, inner + (full ? "to_out" : "to_out.0"), hidden, channels, 1);
  if (!full) out_norm = ChannelNorm(make, inner + "to_out.1", channels);
  if (!shape.memory) norm = ChannelNorm(make, name + "." + shape.norm, channels);
}

at::Tensor Attention::operator()(const at::Tensor& x, MapOrder order) const {
  const at::Tensor qkv = to_qkv(norm(x, order), order);
  const bool rows = order == MapOrder::kChannelsLast;
  if (full) return to_out(rows ? attend_full_rows(qkv) : attend_full(qkv), order) + x;
  return out_norm(to_out(rows ? attend_linear_rows(qkv) : attend_linear(qkv), order), order) + x;
}

at::Tensor Attention::attend_full(const at::Tensor& qkv) const {
  const int64_t batch = qkv.size(0), height = qkv.size(2), width = qkv.size(3);
  // [B, 3, h, d, N] → three of [B, h, N, d] in memory order, which the fused kernel needs.
  // unbind, not three selects: the backward of each select is as large as all three, most of it
  // zeros.
  const std::vector<at::Tensor> parts =
      qkv.reshape({batch, 3, shape.heads, shape.dim_head, height * width})
          .permute({1, 0, 2, 4, 3})
          .contiguous()
          .unbind(0);
  at::Tensor q = parts[0], k = parts[1], v = parts[2];
  if (mem_kv.defined()) {
    const at::Tensor memory =
        mem_kv.to(k.scalar_type()).unsqueeze(1).expand({2, batch, -1, -1, -1});
    k = at::cat({memory[0], k}, 2);
    v = at::cat({memory[1], v}, 2);
  }
  return at::scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(
      {batch, shape.heads * shape.dim_head, height, width});
}

at::Tensor Attention::attend_linear(const at::Tensor& qkv) const {
  const int64_t batch = qkv.size(0), height = qkv.size(2), width = qkv.size(3);
  const std::vector<at::Tensor> parts =
      qkv.to(at::kFloat).reshape({batch, 3, shape.heads, shape.dim_head, height * width}).unbind(1);
  at::Tensor q = parts[0], k = parts[1], v = parts[2];  // [B, h, d, N]
  if (mem_kv.defined()) {
    const at::Tensor memory = mem_kv.unsqueeze(1).expand({2, batch, -1, -1, -1});
    k = at::cat({memory[0], k}, -1);
    v = at::cat({memory[1], v}, -1);
  }
  q = at::softmax(q, -2) * (1 / std::sqrt(static_cast<double>(shape.dim_head)));
  k = at::softmax(k, -1);
  const at::Tensor context = at::matmul(k, v.transpose(-1, -2));  // [B, h, d, e]
  return at::matmul(context.transpose(-1, -2), q)
      .reshape({batch, shape.heads * shape.dim_head, height, width});
}

// Queries, keys, values [B, N, h, d], where they lie.
std::vector<at::Tensor> Attention::parts_of_rows(const at::Tensor& qkv) const {
  return qkv.permute({0, 2, 3, 1})
      .reshape({qkv.size(0), qkv.size(2) * qkv.size(3), 3, shape.heads, shape.dim_head})
      .unbind(2);
}

at::Tensor Attention::attend_full_rows(const at::Tensor& qkv) const {
  const int64_t batch = qkv.size(0), height = qkv.size(2), width = qkv.size(3);
  const auto parts = parts_of_rows(qkv);
  const at::Tensor q = parts[0].transpose(1, 2);
  at::Tensor k = parts[1].transpose(1, 2),
             v = parts[2].transpose(1, 2);  // [B, h, N, d], a channel's neighbours together
  if (mem_kv.defined()) {
    const at::Tensor memory =
        mem_kv.to(k.scalar_type()).unsqueeze(1).expand({2, batch, -1, -1, -1});
    k = at::cat({memory[0], k}, 2);
    v = at::cat({memory[1], v}, 2);
  }
  return at::scaled_dot_product_attention(q, k, v)
      .transpose(1, 2)
      .reshape({batch, height, width, shape.heads * shape.dim_head})
      .permute({0, 3, 1, 2});
}

at::Tensor Attention::attend_linear_rows(const at::Tensor& qkv) const {
  const int64_t batch = qkv.size(0), height = qkv.size(2), width = qkv.size(3);
  const auto parts = parts_of_rows(qkv);
  at::Tensor k = parts[1].transpose(1, 2).to(at::kFloat),
             v = parts[2].transpose(1, 2);  // [B, h, N, d]
  if (mem_kv.defined()) {
    const at::Tensor memory = mem_kv.transpose(-1, -2).unsqueeze(1).expand({2, batch, -1, -1, -1});
    k = at::cat({memory[0].to(at::kFloat), k}, 2);
    v = at::cat({memory[1].to(v.scalar_type()), v}, 2);
  }
  const double scale = 1 / std::sqrt(static_cast<double>(shape.dim_head));
  const at::Tensor q = at::softmax(parts[0].transpose(1, 2).to(at::kFloat), -1) * scale;
  const at::Tensor context =
      at::matmul(at::softmax(k, 2).transpose(-1, -2), v.to(at::kFloat));  // [B, h, d, e]
  return at::matmul(q, context)
      .transpose(1, 2)
      .reshape({batch, height, width, shape.heads * shape.dim_head})
      .permute({0, 3, 1, 2});
}

at::Tensor sinusoidal_frequencies(int64_t dim, double theta, at::Device device) {
  const int64_t half = dim / 2;
  const double rate = std::log(theta) / static_cast<double>(half - 1);
  return at::exp(at::arange(half, at::TensorOptions().dtype(at::kLong).device(device)) * -rate);
}

at::Tensor sinusoidal_features(const at::Tensor& t, int64_t dim, double theta) {
  const at::Tensor angles =
      t.unsqueeze(1) * sinusoidal_frequencies(dim, theta, t.device()).unsqueeze(0);
  return at::cat({angles.sin(), angles.cos()}, -1);
}

at::Tensor fourier_features(const at::Tensor& t, const at::Tensor& weights) {
  const at::Tensor x = t.unsqueeze(1);
  const at::Tensor angles = x * weights.unsqueeze(0) * 2 * M_PI;
  return at::cat({x.to(at::kFloat), angles.sin(), angles.cos()}, -1);
}

}  // namespace lockstep
