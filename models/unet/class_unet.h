// The class-conditional UNet of denoising-diffusion-pytorch 2.3.4's classifier_free_guidance module
// (`task.model: {kind: class_unet}`): tensor names and arithmetic as there.
//
// Ho and Salimans, "Classifier-Free Diffusion Guidance", arXiv:2207.12598: training hides the class
// of a share of the samples, so that one network predicts with and without it. Linear attention on
// all stages, full in the middle; no memory tokens; stages halve by convolutions of stride 2.
#pragma once

#include <memory>

#include "core/config/fields.h"
#include "models/denoiser.h"
#include "models/unet/unet_body.h"

namespace lockstep {

struct ClassUnetOptions {
  int64_t dim = 64;
  int64_t num_classes = 10;
  double cond_drop_prob = 0.5;
  std::optional<int64_t> init_dim, out_dim;
  std::vector<int64_t> dim_mults = {1, 2, 4, 8};
  int64_t channels = 3;
  bool learned_variance = false;
  int64_t attn_dim_head = 32;
  int64_t attn_heads = 4;
  double dropout = 0;
  std::string memory_format = "auto";

  void fields(FieldVisitor& visit) {
    visit("dim", dim, Range{4, 4096}, "channels of the first stage; even");
    visit("num_classes", num_classes, Range{1, 1000000}, "labels are 0 … num_classes−1");
    visit("cond_drop_prob", cond_drop_prob, Range{0, 1},
          "share of training samples whose class is hidden");
    visit("init_dim", init_dim, Range{1, 4096}, "channels behind the first convolution; null: dim");
    visit("out_dim", out_dim, Range{1, 4096},
          "channels of the prediction; null: channels, or twice that");
    visit("dim_mults", dim_mults, Range{1, 1024}, "channels of each stage, in multiples of dim");
    visit("channels", channels, Range{1, 64}, "of a picture: 3 for colour, 1 for grey");
    visit("learned_variance", learned_variance, "predict the variance as well (arXiv:2102.09672)");
    visit("attn_dim_head", attn_dim_head, Range{1, 1024}, "channels a head of the full attention");
    visit("attn_heads", attn_heads, Range{1, 1024}, "heads of the full attention");
    visit("dropout", dropout, Range{0, 0.999}, "share of activations dropped in training");
    visit("memory_format", memory_format, OneOf{memory_formats()},
          "order of feature maps; auto: channels_last on GPUs, where our kernels then compute the "
          "norms");
  }
};

// The trunk that `options` describe. Throws ConfigError for options that do not fit together.
UnetShape class_unet_shape(const ClassUnetOptions& options);

// Initial weights from one generator seeded with `seed`. Throws ConfigError for options that do not
// fit together.
std::unique_ptr<Denoiser> make_class_unet(const ClassUnetOptions& options, uint64_t seed);

// How strongly sampling follows the class.
struct GuidanceOptions {
  double scale = 6;
  double rescale = 0.7;
  bool remove_parallel = true;
  double keep_parallel = 0;

  void fields(FieldVisitor& visit) {
    visit("scale", scale, at_least(0),
          "1: the class alone; larger: away from pictures of no class");
    visit("rescale", rescale, Range{0, 1},
          "share of the result brought back to its old spread (arXiv:2305.08891)");
    visit("remove_parallel", remove_parallel,
          "drop the part of the change along the prediction (arXiv:2410.02416)");
    visit("keep_parallel", keep_parallel, Range{0, 1}, "share of that part to keep all the same");
  }
};

// Two passes, with and without classes: with + (scale−1)·(with − without), adjusted as asked. One
// pass for networks without classes, and for scale 1.
at::Tensor predict_guided(Denoiser& model, const DenoiserInput& input,
                          const GuidanceOptions& guidance);

}  // namespace lockstep
