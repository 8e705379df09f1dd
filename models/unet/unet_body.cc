#include "models/unet/unet_body.h"

#include <ATen/ATen.h>

namespace lockstep {

void UnetBody::make_first(const LayerMaker& make, const UnetShape& shape) {
  first_ = Convolution(make, "init_conv", shape.input_channels, shape.init_dim, 7);
}

void UnetBody::make_stages(const LayerMaker& make, const UnetShape& shape) {
  const auto stages = static_cast<int64_t>(shape.stage_dims.size());
  std::vector<int64_t> dims = {shape.init_dim};
  dims.insert(dims.end(), shape.stage_dims.begin(), shape.stage_dims.end());
  const int64_t condition = shape.condition_dim;
  for (int64_t i = 0; i < stages; ++i) {
    const std::string name = "downs." + std::to_string(i) + ".";
    const int64_t in = dims[i], out = dims[i + 1];
    Stage stage;
    stage.block1 = ResnetBlock(make, name + "0", in, in, condition);
    stage.block2 = ResnetBlock(make, name + "1", in, in, condition);
    stage.attention = Attention(make, name + "2", in, shape.full_attention[i], shape.attention[i]);
    if (i + 1 == stages) {
      stage.resize = Convolution(make, name + "3", in, out, 3);
    } else if (shape.strided_down) {
      stage.way = Stage::Way::kStride;
      stage.resize = Convolution(make, name + "3", in, out, 4, true, 2);
    } else {
      stage.way = Stage::Way::kSpaceToDepth;
      stage.resize = Convolution(make, name + "3.1", 4 * in, out, 1);
    }
    downs_.push_back(std::move(stage));
  }
  for (int64_t i = stages - 1; i >= 0; --i) {
    const std::string name = "ups." + std::to_string(stages - 1 - i) + ".";
    const int64_t in = dims[i], out = dims[i + 1];
    Stage stage;
    stage.block1 = ResnetBlock(make, name + "0", out + in, out, condition);
    stage.block2 = ResnetBlock(make, name + "1", out + in, out, condition);
    stage.attention = Attention(make, name + "2", out, shape.full_attention[i], shape.attention[i]);
    if (i > 0) stage.way = Stage::Way::kUpsample;
    stage.resize = Convolution(make, name + (i > 0 ? "3.1" : "3"), out, in, 3);
    ups_.push_back(std::move(stage));
  }
  const int64_t middle = dims.back();
  middle1_ = ResnetBlock(make, "mid_block1", middle, middle, condition);
  middle_attention_ = Attention(make, "mid_attn", middle, /*full=*/true, shape.middle_attention);
  middle2_ = ResnetBlock(make, "mid_block2", middle, middle, condition);
  final_block_ =
      ResnetBlock(make, "final_res_block", 2 * shape.init_dim, shape.init_dim, condition);
  final_ = Convolution(make, "final_conv", shape.init_dim, shape.out_dim, 1);
}

at::Tensor UnetBody::Stage::resized(const at::Tensor& x, MapOrder order) const {
  if (way == Way::kSpaceToDepth) return resize.of_squares(x, order);
  if (way == Way::kUpsample)
    return resize(at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)}), order);
  return resize(x, order);
}

at::Tensor UnetBody::operator()(const at::Tensor& input, const at::Tensor& condition,
                                UnetPass& pass) const {
  const MapOrder order = pass.order;
  at::Tensor x = first_(input, order);
  const at::Tensor first = x;
  std::vector<at::Tensor> kept;
  for (const Stage& stage : downs_) {
    x = stage.block1(x, condition, pass);
    kept.push_back(x);
    x = stage.attention(stage.block2(x, condition, pass), order);
    kept.push_back(x);
    x = stage.resized(x, order);
  }
  x = middle1_(x, condition, pass);
  x = middle2_(middle_attention_(x, order), condition, pass);
  const auto with_kept = [&] {
    const at::Tensor both = at::cat({x, kept.back()}, 1);
    kept.pop_back();
    return both;
  };
  for (const Stage& stage : ups_) {
    x = stage.block1(with_kept(), condition, pass);
    x = stage.block2(with_kept(), condition, pass);
    x = stage.resized(stage.attention(x, order), order);
  }
  return final_(final_block_(at::cat({x, first}, 1), condition, pass), order).contiguous();
}

}  // namespace lockstep
