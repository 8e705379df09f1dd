// The trunk that both image UNets share: stages down, middle, stages up.
#pragma once

#include <string>
#include <vector>

#include "models/unet/unet_layers.h"

namespace lockstep {

struct UnetShape {
  int64_t input_channels = 3, init_dim = 64, out_dim = 3;
  std::vector<int64_t> stage_dims;   // channels of each stage, from the outside in
  int64_t condition_dim = 256;       // features that scale and shift each block
  std::vector<bool> full_attention;  // one for each stage
  std::vector<AttentionShape> attention;
  AttentionShape middle_attention;
  bool strided_down = false;  // true: 4x4 convolutions of stride 2; false: space to depth, then 1x1
};

class UnetBody {
 public:
  // The first convolution; then the caller's embeddings; then make_stages: the order of upstream's
  // state dict, which optimizers follow.
  void make_first(const LayerMaker& make, const UnetShape& shape);
  void make_stages(const LayerMaker& make, const UnetShape& shape);
  // x [B, input_channels, H, W], condition [B, condition_dim] (after SiLU) → [B, out_dim, H, W],
  // channels first.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& condition, UnetPass& pass) const;

 private:
  struct Stage {
    ResnetBlock block1, block2;
    Attention attention;
    Convolution resize;
    enum class Way { kSpaceToDepth, kStride, kUpsample, kKeep } way = Way::kKeep;
    at::Tensor resized(const at::Tensor& x, MapOrder order) const;
  };
  Convolution first_;
  std::vector<Stage> downs_, ups_;
  ResnetBlock middle1_, middle2_, final_block_;
  Attention middle_attention_;
  Convolution final_;
};

}  // namespace lockstep
