// The noise schedule of Gaussian diffusion: everything that follows from the betas, in double.
//
// Ho et al., NeurIPS 2020, arXiv:2006.11239; cosine: Nichol and Dhariwal, ICML 2021,
// arXiv:2102.09672; sigmoid: Jabri et al., arXiv:2212.11972; min-SNR: Hang et al., ICCV 2023,
// arXiv:2303.09556. Values and names are those of denoising-diffusion-pytorch 2.3.4's buffers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/config/fields.h"
#include "tensor/named.h"

namespace lockstep {

struct DiffusionOptions {
  int64_t timesteps = 1000;
  std::string objective = "pred_v";
  std::string beta_schedule = "sigmoid";
  std::optional<double> linear_start, linear_end;
  bool min_snr_loss_weight = false;
  double min_snr_gamma = 5;
  double offset_noise_strength = 0;
  bool immiscible = false;

  void fields(FieldVisitor& visit) {
    visit("timesteps", timesteps, Range{1, 1000000}, "noise levels");
    visit("objective", objective, OneOf{{"pred_noise", "pred_x0", "pred_v"}},
          "what the network predicts");
    visit("beta_schedule", beta_schedule, OneOf{{"linear", "cosine", "sigmoid"}},
          "how noise grows");
    visit("linear_start", linear_start, Range{0, 1, true},
          "first beta of linear; null: 0.1 / timesteps");
    visit("linear_end", linear_end, Range{0, 1, true}, "last beta of linear; null: 20 / timesteps");
    visit("min_snr_loss_weight", min_snr_loss_weight,
          "limit the loss weight of nearly clean levels");
    visit("min_snr_gamma", min_snr_gamma, above(0),
          "signal-to-noise ratio from which it is limited");
    visit("offset_noise_strength", offset_noise_strength, at_least(0),
          "noise added to whole channels; 0.1 is usual");
    visit("immiscible", immiscible,
          "pair pictures with near noise within a micro-batch (arXiv:2406.12303)");
  }
};

enum class Objective { kNoise, kStart, kVelocity };

// A linear function of a noisy picture x and the network's output.
struct LinearForm {
  double x = 0, output = 0;
};

struct DiffusionSchedule {
  // Throws ConfigError for betas outside (0, 1).
  explicit DiffusionSchedule(const DiffusionOptions& options);

  Objective objective;
  int64_t timesteps;
  bool is_cosine;  // diffusers truncates its Karras timesteps then
  // By timestep 0 … timesteps−1; names as upstream's buffers, abar = alphas_cumprod.
  std::vector<double> betas, abar, abar_previous, posterior_variance,
      posterior_log_variance_clipped, posterior_mean_coef1, posterior_mean_coef2, loss_weight;

  // The 13 buffers as float32 [timesteps].
  NamedTensors buffers() const;
  // The clean picture and the noise from x at signal share `alpha_bar` and the network's output.
  LinearForm start(double alpha_bar) const;
  LinearForm noise(double alpha_bar) const;
};

}  // namespace lockstep
