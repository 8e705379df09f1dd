// Options of the image UNets (unet.h, class_unet.h), by their first users' names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/config/fields.h"
#include "kernels/map_order.h"

namespace lockstep {

// denoising-diffusion-pytorch's Unet.
struct UnetOptions {
  int64_t dim = 64;
  std::optional<int64_t> init_dim;  // nothing: dim
  std::optional<int64_t> out_dim;   // nothing: channels, twice that with learned_variance
  std::vector<int64_t> dim_mults = {1, 2, 4, 8};
  int64_t channels = 3;
  bool self_condition = false;
  bool learned_variance = false;
  bool learned_sinusoidal_cond = false;
  bool random_fourier_features = false;
  int64_t learned_sinusoidal_dim = 16;
  double sinusoidal_pos_emb_theta = 10000;
  double dropout = 0;
  OneOrList<int64_t> attn_dim_head;  // nothing: 32
  OneOrList<int64_t> attn_heads;     // nothing: 4
  OneOrList<bool> full_attn;         // nothing, or false for all: the innermost stage alone
  bool flash_attn = false;
  std::string memory_format = "auto";

  void fields(FieldVisitor& visit) {
    visit("dim", dim, Range{1, 4096}, "channels of the first stage");
    visit("init_dim", init_dim, Range{1, 4096}, "channels behind the first convolution; null: dim");
    visit("out_dim", out_dim, Range{1, 4096},
          "channels of the prediction; null: channels, or twice that");
    visit("dim_mults", dim_mults, Range{1, 1024}, "channels of each stage, in multiples of dim");
    visit("channels", channels, Range{1, 64}, "of a picture: 3 for colour, 1 for grey");
    visit("self_condition", self_condition,
          "feed back an estimate of the picture (arXiv:2208.04202)");
    visit("learned_variance", learned_variance, "predict the variance as well (arXiv:2102.09672)");
    visit("learned_sinusoidal_cond", learned_sinusoidal_cond,
          "trained frequencies for the time; forward only");
    visit("random_fourier_features", random_fourier_features,
          "random frequencies for the time; forward only");
    visit("learned_sinusoidal_dim", learned_sinusoidal_dim, Range{2, 4096},
          "features of such a time; even");
    visit("sinusoidal_pos_emb_theta", sinusoidal_pos_emb_theta, above(0),
          "longest wave of the time's features");
    visit("dropout", dropout, Range{0, 0.999}, "share of activations dropped in training");
    visit("attn_dim_head", attn_dim_head, Range{1, 1024},
          "channels a head; one for all stages or a list; null: 32");
    visit("attn_heads", attn_heads, Range{1, 1024}, "heads; one for all stages or a list; null: 4");
    visit("full_attn", full_attn,
          "full instead of linear attention, by stage; null: in the innermost alone");
    visit("flash_attn", flash_attn,
          "accepted for the first users' configs: attention is always SDPA's fused one");
    visit("memory_format", memory_format, OneOf{memory_formats()},
          "order of feature maps; auto: channels_last on GPUs, where our kernels then compute the "
          "norms");
  }
};

}  // namespace lockstep
