// Which timesteps a sampler visits: the grids of denoising-diffusion-pytorch and of diffusers.
//
// Rounding follows the originals to the bit: NumPy rounds halves to even, and upstream's linspace
// is float32 and truncated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

// Throws ConfigError unless 1 ≤ steps ≤ timesteps.
void check_sampler_steps(int64_t steps, int64_t timesteps);

// steps+1 values from timesteps−1 down to −1 (the clean picture).
std::vector<int64_t> lucidrains_times(int64_t steps, int64_t timesteps);
// diffusers' DDIM: `steps` values, largest first.
std::vector<int64_t> ddim_times(const std::string& spacing, int64_t steps, int64_t timesteps);
// diffusers' DPM-Solver++: `steps` values, largest first.
std::vector<int64_t> dpm_times(const std::string& spacing, int64_t steps, int64_t timesteps);

// Karras et al., arXiv:2206.00364, eq. 5 with rho 7: `steps` noise levels from `largest` to
// `smallest`.
std::vector<double> karras_sigmas(int64_t steps, double smallest, double largest);
// The timestep (a fraction) at which the ascending `sigmas` reach `sigma`, interpolated by
// logarithm.
double time_of_sigma(double sigma, const std::vector<double>& sigmas);

}  // namespace lockstep
