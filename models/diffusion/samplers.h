// Samplers as pure tables: each kind turns a noise schedule into one row of coefficients for every
// network pass, computed in double (design.md 5, section `sampler`).
//
// All of them have one form. With x the state, o the network's output at `time`, z fresh noise and
// p the estimate of the step before:
//   s  = start.x·x + start.output·o, clipped to [−1, 1] if `clip`      (estimate of the picture)
//   x' = x·x + start·s + output·o + previous·p + noise·z
// sampler_update.h applies a row in one pass over the state.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/config/kinds.h"
#include "models/diffusion/diffusion_schedule.h"

namespace lockstep {

struct SamplerStep {
  int64_t time = 0;
  LinearForm start;  // s from x and o
  bool clip = false;
  double x_weight = 0, start_weight = 0, output_weight = 0, previous_weight = 0, noise_weight = 0;
  // With a learned variance the noise is weighted by exp(v/2), v between these two by the network's
  // word (arXiv:2102.09672, eq. 15), instead of noise_weight.
  struct LogVariance {
    double low, high;
  };
  std::optional<LogVariance> learned;
};

struct SamplerPlan {
  std::vector<SamplerStep> steps;  // in the order they are taken
};

// Ho et al., arXiv:2006.11239: all timesteps, with the posterior's variance.
struct DdpmOptions {
  std::optional<int64_t> steps;
  bool clip_x0 = true;
  void fields(FieldVisitor& visit) {
    visit("steps", steps, at_least(1), "network passes; always task.diffusion.timesteps");
    visit("clip_x0", clip_x0, "clip the estimated picture to [-1, 1]");
  }
};

// Song et al., "Denoising Diffusion Implicit Models", ICLR 2021, arXiv:2010.02502.
struct DdimOptions {
  int64_t steps = 50;
  double eta = 0;
  std::string spacing = "lucidrains";
  std::string final_alpha = "one";
  bool clip_x0 = true;
  void fields(FieldVisitor& visit) {
    visit("steps", steps, at_least(1), "network passes");
    visit("eta", eta, Range{0, 1}, "fresh noise: 0 none, 1 as much as DDPM");
    visit("spacing", spacing, OneOf{{"lucidrains", "linspace", "leading", "trailing"}},
          "timesteps; lucidrains derives the noise from the clipped picture, the others "
          "(diffusers) do not");
    visit("final_alpha", final_alpha, OneOf{{"one", "first"}},
          "signal share behind the last step (diffusers' spacings)");
    visit("clip_x0", clip_x0, "clip the estimated picture to [-1, 1]");
  }
};

// Lu et al., "DPM-Solver++", arXiv:2211.01095: second order, two steps, data prediction.
struct DpmppOptions {
  int64_t steps = 20;
  std::string solver = "midpoint";
  std::string spacing = "linspace";
  std::string final_sigma = "zero";
  bool karras = false;
  bool clip_x0 = false;
  void fields(FieldVisitor& visit) {
    visit("steps", steps, at_least(1), "network passes");
    visit("solver", solver, OneOf{{"midpoint", "heun", "sde"}},
          "sde adds fresh noise at every step");
    visit("spacing", spacing, OneOf{{"linspace", "leading", "trailing"}},
          "timesteps; without meaning under karras");
    visit("final_sigma", final_sigma, OneOf{{"zero", "sigma_min"}}, "noise behind the last step");
    visit("karras", karras, "noise levels by Karras et al., arXiv:2206.00364, rho 7");
    visit("clip_x0", clip_x0, "clip the estimated picture to [-1, 1]");
  }
};

using SamplerTable = Table<SamplerPlan, const DiffusionSchedule&>;
// Rows: ddpm, ddim, dpmpp_2m. make() throws ConfigError for a number of steps that the schedule
// does not have.
const SamplerTable& sampler_kinds();

std::unique_ptr<SamplerPlan> make_ddpm(const DdpmOptions& options,
                                       const DiffusionSchedule& schedule);
std::unique_ptr<SamplerPlan> make_ddim(const DdimOptions& options,
                                       const DiffusionSchedule& schedule);
std::unique_ptr<SamplerPlan> make_dpmpp_2m(const DpmppOptions& options,
                                           const DiffusionSchedule& schedule);

}  // namespace lockstep
