// The image UNet of denoising-diffusion-pytorch 2.3.4 (`task.model: {kind: unet}`): tensor names,
// arithmetic and options as there, so that weights go both ways.
//
// Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020, arXiv:2006.11239, with
// RMSNorm, linear attention on the outer stages and full attention on the inner one. A stage halves
// height and width, so both must be multiples of 2^(stages−1).
#pragma once

#include <memory>

#include "models/denoiser.h"
#include "models/unet/unet_body.h"
#include "models/unet/unet_options.h"

namespace lockstep {

// The trunk that `options` describe, for who builds it another way (interop/onnx_unet.h). Throws
// ConfigError for options that do not fit together.
UnetShape unet_shape(const UnetOptions& options);
// True if the time goes in as sines of trained or random frequencies (`time_mlp.0.weights`).
bool has_fourier_time(const UnetOptions& options);

// Initial weights from one generator seeded with `seed`. Throws ConfigError for options that do not
// fit together.
std::unique_ptr<Denoiser> make_unet(const UnetOptions& options, uint64_t seed);

}  // namespace lockstep
