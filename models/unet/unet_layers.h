// Layers of the image UNets: plain structs that hold their parameters and apply themselves.
//
// Legend: B batch, C channels, H W rows and columns, N = H·W positions, h heads, d channels a head,
// T time features. Tensor names and arithmetic are those of denoising-diffusion-pytorch 2.3.4.
// Under autocast convolutions and linear layers run in the low precision; norms and softmax of the
// linear attention in fp32.
//
// Maps lie in one of two orders (map_order.h). Channels first, the norms are channel_norm.h's;
// channels last, they are the kernels of channel_rows_kernel.h, attention reads queries, keys and
// values where the projection left them, and halving a map is a convolution of stride 2 instead of
// a copy in another order.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "kernels/map_order.h"
#include "models/denoiser.h"

namespace lockstep {

// Makes parameters in the order of the checkpoint, with LibTorch's initial values of convolutions
// and linear layers: U(±1/√inputs) for weights and biases.
class LayerMaker {
 public:
  using Parameter = std::function<at::Tensor(const std::string& name, at::Tensor initial)>;
  LayerMaker(Parameter parameter, uint64_t seed);
  // Leaves with names; the numbers come from one generator in the order of the calls.
  at::Tensor constant(const std::string& name, const at::Tensor& initial) const {
    return parameter_(name, initial);
  }
  at::Tensor uniform(const std::string& name, const std::vector<int64_t>& shape,
                     int64_t inputs) const;
  at::Tensor normal(const std::string& name, const std::vector<int64_t>& shape) const;
  // Normal numbers without a name.
  at::Tensor random(const std::vector<int64_t>& shape) const;

 private:
  Parameter parameter_;
  std::shared_ptr<at::Generator> generator_;
};

struct Convolution {
  at::Tensor weight, bias;  // [O, I, k, k]; bias may be undefined
  int64_t stride = 1, padding = 0;

  Convolution() = default;
  // Odd kernels keep the size; `stride` 2 with kernel 4 halves it.
  Convolution(const LayerMaker& make, const std::string& name, int64_t inputs, int64_t outputs,
              int64_t kernel, bool has_bias = true, int64_t stride = 1);
  at::Tensor operator()(const at::Tensor& x, MapOrder order) const;
  // For a 1x1 kernel that was made for the four parts of each 2x2 square: space to depth, then the
  // kernel.
  at::Tensor of_squares(const at::Tensor& x, MapOrder order) const;
};

struct Linear {
  at::Tensor weight, bias;
  Linear() = default;
  Linear(const LayerMaker& make, const std::string& name, int64_t inputs, int64_t outputs);
  at::Tensor operator()(const at::Tensor& x) const;
};

// x / ‖x‖ over channels (at least 1e-12) · g · √C.
struct ChannelNorm {
  at::Tensor g;  // [1, C, 1, 1]
  ChannelNorm() = default;
  ChannelNorm(const LayerMaker& make, const std::string& name, int64_t channels);
  at::Tensor operator()(const at::Tensor& x, MapOrder order) const;
  // silu(norm·(1 + scale) + shift), scale and shift the halves of scale_shift [B, 2C]; undefined:
  // none.
  at::Tensor silu(const at::Tensor& x, const at::Tensor& scale_shift, MapOrder order) const;
};

// Masks of one forward, layer after layer (philox_dropout.h); does nothing without `numbers`. Kept
// activations are scaled by 1/(1−p). A mask depends on sample, step and element alone.
class Dropout {
 public:
  Dropout(double share, const at::Tensor& numbers) : share_(share), numbers_(numbers) {}
  at::Tensor operator()(const at::Tensor& x_BCHW, MapOrder order);

 private:
  double share_;
  at::Tensor numbers_;
  int64_t first_ = 0;  // of the next layer's block of numbers
};

// One forward pass.
struct UnetPass {
  MapOrder order;
  Dropout dropout;
};

// Two 3x3 convolutions with norm and SiLU, the first scaled and shifted by the condition; residual.
struct ResnetBlock {
  Linear mlp;
  Convolution proj1, proj2, skip;  // skip.weight undefined: identity
  ChannelNorm norm1, norm2;
  ResnetBlock() = default;
  ResnetBlock(const LayerMaker& make, const std::string& name, int64_t inputs, int64_t outputs,
              int64_t condition);
  // `condition_BT` has passed SiLU already: it is the same for all blocks.
  at::Tensor operator()(const at::Tensor& x_BCHW, const at::Tensor& condition_BT,
                        UnetPass& pass) const;
};

struct AttentionShape {
  int64_t heads = 4, dim_head = 32;
  bool memory = true;      // four learned keys and values more (`mem_kv`)
  const char* inner = "";  // prefix of the names inside: "fn.fn." in the class-conditional network
  const char* norm = "norm";
};

// Attention over all positions, or linear in their number (arXiv:1812.01243); residual inside.
struct Attention {
  bool full = false;
  AttentionShape shape;
  ChannelNorm norm, out_norm;  // out_norm: linear attention only
  at::Tensor mem_kv;           // full [2,h,4,d], linear [2,h,d,4]
  Convolution to_qkv, to_out;
  Attention() = default;
  Attention(const LayerMaker& make, const std::string& name, int64_t channels, bool full,
            const AttentionShape& shape);
  at::Tensor operator()(const at::Tensor& x_BCHW, MapOrder order) const;

 private:
  at::Tensor attend_full(const at::Tensor& qkv_BCHW) const;
  at::Tensor attend_linear(const at::Tensor& qkv_BCHW) const;
  // The same for channels last.
  std::vector<at::Tensor> parts_of_rows(const at::Tensor& qkv_BCHW) const;
  at::Tensor attend_full_rows(const at::Tensor& qkv_BCHW) const;
  at::Tensor attend_linear_rows(const at::Tensor& qkv_BCHW) const;
};

// The frequencies of sinusoidal_features, f32 [dim/2].
at::Tensor sinusoidal_frequencies(int64_t dim, double theta, at::Device device = at::kCPU);
// t i64 [B] → sin and cos of `dim` features, f32 [B, dim].
at::Tensor sinusoidal_features(const at::Tensor& t_B, int64_t dim, double theta);
// t, sin and cos of 2π·w·t, f32 [B, 1 + 2·weights].
at::Tensor fourier_features(const at::Tensor& t_B, const at::Tensor& weights);

}  // namespace lockstep
