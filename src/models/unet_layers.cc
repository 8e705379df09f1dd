#include "models/unet_layers.h"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "core/errors.h"
#include "core/philox.h"
#include "models/channel_norm.h"

namespace lockstep {

LayerMaker::LayerMaker(Parameter parameter, uint64_t seed)
    : parameter_(std::move(parameter)),
      generator_(std::make_shared<at::Generator>(at::detail::createCPUGenerator(seed))) {}

at::Tensor LayerMaker::uniform(const std::string& name, const std::vector<int64_t>& shape, int64_t inputs) const {
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

Convolution::Convolution(const LayerMaker& make, const std::string& name, int64_t inputs, int64_t outputs,
                         int64_t kernel, bool has_bias, int64_t stride)
    : stride(stride), padding((kernel - 1) / 2) {
  const int64_t fan_in = inputs * kernel * kernel;
  weight = make.uniform(name + ".weight", {outputs, inputs, kernel, kernel}, fan_in);
  if (has_bias) bias = make.uniform(name + ".bias", {outputs}, fan_in);
}

at::Tensor Convolution::operator()(const at::Tensor& x) const {
  return at::conv2d(x, weight, bias, {stride, stride}, {padding, padding});
}

Linear::Linear(const LayerMaker& make, const std::string& name, int64_t inputs, int64_t outputs)
    : weight(make.uniform(name + ".weight", {outputs, inputs}, inputs)),
      bias(make.uniform(name + ".bias", {outputs}, inputs)) {}

at::Tensor Linear::operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }

ChannelNorm::ChannelNorm(const LayerMaker& make, const std::string& name, int64_t channels)
    : g(make.constant(name + ".g", at::ones({1, channels, 1, 1}))) {}

at::Tensor ChannelNorm::operator()(const at::Tensor& x) const { return channel_norm(x, g); }

at::Tensor Dropout::operator()(const at::Tensor& x) {
  if (key_ == nullptr || share_ == 0) return x;
  if (!x.is_cpu()) throw EnvironmentError("task.model.dropout computes on CPUs alone", "set task.model.dropout=0 or run.device=cpu");
  const Stream stream(key_->seed, Purpose::kDropout);
  const int64_t row = x.numel() / std::max<int64_t>(x.size(0), 1);
  at::Tensor keep = at::empty(x.sizes(), at::kFloat);
  auto* out = keep.mutable_data_ptr<float>();
  const auto scale = static_cast<float>(1 / (1 - share_));
  const auto step = static_cast<uint32_t>(key_->step);
  for (const int64_t id : key_->ids) {
    for (int64_t at = 0; at < row; at += 4) {
      const auto block = static_cast<uint32_t>((first_element_ + static_cast<uint64_t>(at)) / 4);
      const std::array<float, 4> four = uniform4(stream.block(static_cast<uint64_t>(id), step, block));
      for (int64_t i = 0; i < std::min<int64_t>(4, row - at); ++i)
        out[at + i] = four[static_cast<size_t>(i)] < static_cast<float>(share_) ? 0.0f : scale;
    }
    out += row;
  }
  first_element_ += static_cast<uint64_t>((row + 3) / 4 * 4);
  return x * keep.to(x.options());
}

ResnetBlock::ResnetBlock(const LayerMaker& make, const std::string& name, int64_t inputs, int64_t outputs,
                         int64_t condition)
    : mlp(make, name + ".mlp.1", condition, 2 * outputs),
      proj1(make, name + ".block1.proj", inputs, outputs, 3),
      norm1(make, name + ".block1.norm", outputs) {
  proj2 = Convolution(make, name + ".block2.proj", outputs, outputs, 3);
  norm2 = ChannelNorm(make, name + ".block2.norm", outputs);
  if (inputs != outputs) skip = Convolution(make, name + ".res_conv", inputs, outputs, 1);
}

at::Tensor ResnetBlock::operator()(const at::Tensor& x, const at::Tensor& condition, Dropout& dropout) const {
  const at::Tensor scale_shift = mlp(condition);
  at::Tensor h = dropout(channel_norm_silu(proj1(x), norm1.g, scale_shift));
  h = channel_norm_silu(proj2(h), norm2.g, {});
  return h + (skip.weight.defined() ? skip(x) : x);
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

at::Tensor Attention::operator()(const at::Tensor& x) const {
  const at::Tensor qkv = to_qkv(norm(x));
  if (full) return to_out(attend_full(qkv)) + x;
  return out_norm(to_out(attend_linear(qkv))) + x;
}

at::Tensor Attention::attend_full(const at::Tensor& qkv) const {
  const int64_t batch = qkv.size(0), height = qkv.size(2), width = qkv.size(3);
  // [B, 3, h, d, N] → three of [B, h, N, d] in memory order, which the fused kernel needs.
  const at::Tensor parts = qkv.reshape({batch, 3, shape.heads, shape.dim_head, height * width})
                               .permute({1, 0, 2, 4, 3}).contiguous();
  const at::Tensor q = parts[0];
  at::Tensor k = parts[1], v = parts[2];
  if (mem_kv.defined()) {
    const at::Tensor memory = mem_kv.to(k.scalar_type()).unsqueeze(1).expand({2, batch, -1, -1, -1});
    k = at::cat({memory[0], k}, 2);
    v = at::cat({memory[1], v}, 2);
  }
  return at::scaled_dot_product_attention(q, k, v)
      .transpose(2, 3)
      .reshape({batch, shape.heads * shape.dim_head, height, width});
}

at::Tensor Attention::attend_linear(const at::Tensor& qkv) const {
  const int64_t batch = qkv.size(0), height = qkv.size(2), width = qkv.size(3);
  const at::Tensor parts =
      qkv.to(at::kFloat).reshape({batch, 3, shape.heads, shape.dim_head, height * width});
  at::Tensor q = parts.select(1, 0), k = parts.select(1, 1), v = parts.select(1, 2);  // [B, h, d, N]
  if (mem_kv.defined()) {
    const at::Tensor memory = mem_kv.unsqueeze(1).expand({2, batch, -1, -1, -1});
    k = at::cat({memory[0], k}, -1);
    v = at::cat({memory[1], v}, -1);
  }
  q = at::softmax(q, -2) * (1 / std::sqrt(static_cast<double>(shape.dim_head)));
  k = at::softmax(k, -1);
  const at::Tensor context = at::matmul(k, v.transpose(-1, -2));  // [B, h, d, e]
  return at::matmul(context.transpose(-1, -2), q).reshape({batch, shape.heads * shape.dim_head, height, width});
}

at::Tensor sinusoidal_frequencies(int64_t dim, double theta, at::Device device) {
  const int64_t half = dim / 2;
  const double rate = std::log(theta) / static_cast<double>(half - 1);
  return at::exp(at::arange(half, at::TensorOptions().dtype(at::kLong).device(device)) * -rate);
}

at::Tensor sinusoidal_features(const at::Tensor& t, int64_t dim, double theta) {
  const at::Tensor angles = t.unsqueeze(1) * sinusoidal_frequencies(dim, theta, t.device()).unsqueeze(0);
  return at::cat({angles.sin(), angles.cos()}, -1);
}

at::Tensor fourier_features(const at::Tensor& t, const at::Tensor& weights) {
  const at::Tensor x = t.unsqueeze(1);
  const at::Tensor angles = x * weights.unsqueeze(0) * 2 * M_PI;
  return at::cat({x.to(at::kFloat), angles.sin(), angles.cos()}, -1);
}

}  // namespace lockstep
