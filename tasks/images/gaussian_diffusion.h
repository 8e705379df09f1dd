// Gaussian diffusion on tensors: noising pictures, what the network should predict, losses.
//
// Arithmetic of denoising-diffusion-pytorch 2.3.4 with its float32 buffers; objectives: Ho et al.,
// arXiv:2006.11239 (noise), Salimans and Ho, arXiv:2202.00512 (velocity); learned variance: Nichol
// and Dhariwal, arXiv:2102.09672. Upstream's immiscible option changes the noise but not the
// target; here both are paired before noising (immiscible.h).
#pragma once

#include <memory>

#include "models/denoiser.h"
#include "models/diffusion/diffusion_schedule.h"

namespace lockstep {

// One batch on its way through the loss. All on one device.
struct NoisedBatch {
  at::Tensor start;  // f32 [B, C, H, W], the clean pictures in [-1, 1]
  at::Tensor t;      // i64 [B]
  at::Tensor noise;  // f32 like start
  at::Tensor x;      // the noisy pictures
};

// Immutable after construction; any thread.
class GaussianDiffusion {
 public:
  // `variational_weight`: of the learned variance's loss. Throws ConfigError.
  GaussianDiffusion(const DiffusionOptions& options, double variational_weight);
  const DiffusionOptions& options() const { return options_; }
  const DiffusionSchedule& schedule() const { return schedule_; }
  const NamedTensors& buffers() const { return buffers_; }

  // Throws ConfigError if networks of `facts` cannot be trained or sampled by this diffusion.
  void check(const DenoiserFacts& facts) const;
  NoisedBatch noised(const at::Tensor& start, const at::Tensor& t, const at::Tensor& noise) const;
  // The picture that `output` means, not clipped: what self-conditioning feeds back.
  at::Tensor estimate(const at::Tensor& output, const NoisedBatch& batch) const;
  // f32 [B] with a graph: loss_weight[t] · mean over C, H, W of the squared error; with a learned
  // variance (twice the channels in `output`) plus variational_weight · bits of the variational
  // bound.
  at::Tensor losses(const at::Tensor& output, const NoisedBatch& batch) const;

 private:
  // Buffer `name` at t, as [B, 1, 1, 1].
  at::Tensor at_times(const char* name, const at::Tensor& t) const;
  // Buffer `name` where t lies; copied there at the first use.
  at::Tensor buffer(const char* name, const at::Tensor& t) const;
  at::Tensor target(const NoisedBatch& batch) const;
  at::Tensor variational_bits(const at::Tensor& output, const at::Tensor& word,
                              const NoisedBatch& batch) const;

  DiffusionOptions options_;
  DiffusionSchedule schedule_;
  double variational_weight_;
  NamedTensors buffers_;  // the schedule's, and log_betas
  struct Copies;
  std::shared_ptr<Copies> copies_;  // of buffers, on other devices
};

}  // namespace lockstep
