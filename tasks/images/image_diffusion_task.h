// Pictures by Gaussian diffusion: a network learns to tell noise from picture at every noise level.
//
// Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020, arXiv:2006.11239. Everything
// random in training is Philox by sample and step: timestep, noise, offset noise, mirroring,
// dropout, and whether a sample is self-conditioned (half of them; upstream tosses one coin for a
// whole batch, arXiv:2208.04202).
#pragma once

#include <memory>

#include "tasks/images/image_diffusion.h"
#include "tasks/task.h"

namespace lockstep {

// The datasets have `images` u8 [C, S, S] with S = image_size, and `labels` for class-conditional
// networks.
//
// Loss::sum is the sum over samples of loss_weight[t] · mean squared error, Loss::count their
// number. forward(): `x` [B,C,H,W], `t` [B], optional `x_self_cond` → `prediction`; with `noise` x
// is the clean picture in [-1, 1] and noised first, and `losses` [B] and `loss`, their mean, come
// as well.
std::unique_ptr<Task> make_image_diffusion_task(const ImageDiffusionOptions& options);

}  // namespace lockstep
