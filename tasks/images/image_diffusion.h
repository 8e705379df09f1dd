// What the parts of the image_diffusion task share: options, diffusion, and drawing pictures.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "models/diffusion/samplers.h"
#include "models/models.h"
#include "models/unet/class_unet.h"
#include "tasks/images/gaussian_diffusion.h"

namespace lockstep {

struct ImageDiffusionOptions {
  int64_t image_size = 32;
  Choice model{denoisers(), "unet"};
  DiffusionOptions diffusion;
  bool augment_horizontal_flip = true;
  double vb_loss_weight = 0.001;
  GuidanceOptions guidance;

  void fields(FieldVisitor& visit) {
    visit("image_size", image_size, Range{1, 65536}, "height and width of the pictures");
    visit("model", model, "the network");
    visit("diffusion", diffusion, "noise, and what is predicted");
    visit("augment_horizontal_flip", augment_horizontal_flip,
          "mirror half of the pictures in training");
    visit("vb_loss_weight", vb_loss_weight, at_least(0),
          "weight of the variational bound with learned_variance");
    visit("guidance", guidance, "how sampling follows classes (class_unet)");
  }
};

// Immutable after construction, shared by the task and its evaluations.
struct ImageDiffusion {
  explicit ImageDiffusion(const ImageDiffusionOptions& options)
      : options(options), diffusion(options.diffusion, options.vb_loss_weight) {}
  ImageDiffusionOptions options;
  GaussianDiffusion diffusion;

  // Throws ConfigError if pictures of the config's size cannot be trained on or drawn with `facts`.
  void check(const DenoiserFacts& facts) const;
};

// The model as what this task trains. Throws InternalError for a model of another task.
Denoiser& as_denoiser(Model& model);

// u8 [B, C, H, W] → f32 in [-1, 1].
at::Tensor pictures_to_signal(const at::Tensor& bytes);
// f32 around [-1, 1] → u8, rounded and clamped, as torchvision's save_image.
at::Tensor signal_to_pictures(const at::Tensor& x);

}  // namespace lockstep
