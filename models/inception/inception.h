// Inception-v3 as FID needs it: the network of TensorFlow's inception-2015-12-05, with the tensor
// names of pytorch-fid's checkpoint (scripts/convert inception makes the file from the user's
// copy).
//
// It differs from torchvision's: average pools do not count padding, and the last block pools by
// maximum (Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, arXiv:1512.00567;
// Heusel et al., NeurIPS 2017, arXiv:1706.08500). Inference only: batch norm is folded into the
// convolutions, in double.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "models/model.h"

namespace lockstep {

class Inception : public Model {
 public:
  // Features are the mean over the map after the block with so many channels: 64 (first pool), 192
  // (second pool), 768 (before the auxiliary head), 2048 (the last). Only the layers up to it are
  // loaded. Throws ConfigError for another number, DataError naming tensor and both shapes for a
  // file that is no FID Inception.
  Inception(const std::filesystem::path& weights, int64_t dimensions);

  int64_t dimensions() const { return dimensions_; }
  // Brings the weights to `device`. `tf32`: products there may be rounded to TF32's 10 bits, which
  // changes scores in the fourth digit; without it they are float32 whatever the process allows. No
  // thread may be using the network.
  void place(at::Device device, bool tf32 = false);
  // XXH3-128 of the weights file.
  const std::string& weights_hash() const { return weights_hash_; }
  // x_BCHW f32 [B, 3, H, W] in [-1, 1], H, W ≥ 75 (299 for FID), where the weights lie → f32 [B,
  // dimensions]. No gradients. On a CPU any thread, on a device one at a time.
  at::Tensor features(const at::Tensor& x_BCHW) const;

  // One convolution: input and output channels, kernel, stride, padding.
  struct Layer {
    std::string name;
    int64_t in = 0, out = 0, kernel_y = 1, kernel_x = 1, stride = 1, pad_y = 0, pad_x = 0;
  };
  // All layers that `dimensions` needs, in order.
  static std::vector<Layer> layers(int64_t dimensions);

 private:
  struct Folded {
    at::Tensor weight, bias;
    int64_t stride, pad_y, pad_x;
  };
  at::Tensor conv(const std::string& name, const at::Tensor& x) const;
  at::Tensor chain(const std::string& block, const std::vector<const char*>& names,
                   at::Tensor x) const;
  at::Tensor block_a(const std::string& name, const at::Tensor& x) const;
  at::Tensor block_b(const std::string& name, const at::Tensor& x) const;
  at::Tensor block_c(const std::string& name, const at::Tensor& x) const;
  at::Tensor block_d(const std::string& name, const at::Tensor& x) const;
  at::Tensor block_e(const std::string& name, const at::Tensor& x, bool max_pool) const;

  int64_t dimensions_;
  bool tf32_ = false;
  at::MemoryFormat format_ = at::MemoryFormat::ChannelsLast;
  std::string weights_hash_;
  std::map<std::string, Folded> convolutions_;
};

}  // namespace lockstep
