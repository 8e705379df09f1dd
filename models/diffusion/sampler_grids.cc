#include "models/diffusion/sampler_grids.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

// numpy.linspace(0, last, count), rounded.
std::vector<int64_t> rounded_linspace(double last, int64_t count) {
  std::vector<int64_t> out = {0};
  const double step = count > 1 ? last / static_cast<double>(count - 1) : 0;
  for (int64_t i = 1; i < count; ++i)
    out.push_back(static_cast<int64_t>(
        i + 1 == count ? last : std::nearbyint(static_cast<double>(i) * step)));
  return out;
}

std::vector<int64_t> trailing_times(int64_t steps, int64_t timesteps) {
  const double step = static_cast<double>(timesteps) / static_cast<double>(steps);
  std::vector<int64_t> out;
  for (int64_t i = 0; i < steps; ++i)
    out.push_back(static_cast<int64_t>(std::nearbyint(static_cast<double>(timesteps) -
                                                      static_cast<double>(i) * step)) -
                  1);
  return out;
}

// `count` values 0, step, 2·step …, the largest first.
std::vector<int64_t> leading_times(int64_t count, int64_t step) {
  std::vector<int64_t> out;
  for (int64_t i = count - 1; i >= 0; --i) out.push_back(i * step);
  return out;
}

}  // namespace

void check_sampler_steps(int64_t steps, int64_t timesteps) {
  if (steps < 1 || steps > timesteps)
    throw ConfigError(
        fmt::format("sampler.steps is {}, and there are {} timesteps", steps, timesteps),
        "give at least 1 and at most task.diffusion.timesteps");
}

std::vector<int64_t> lucidrains_times(int64_t steps, int64_t timesteps) {
  const at::Tensor times =
      at::linspace(-1, timesteps - 1, steps + 1, at::kFloat).to(at::kInt).flip(0);
  const auto* first = times.const_data_ptr<int32_t>();
  return {first, first + times.numel()};
}

std::vector<int64_t> ddim_times(const std::string& spacing, int64_t steps, int64_t timesteps) {
  check_sampler_steps(steps, timesteps);
  if (spacing == "trailing") return trailing_times(steps, timesteps);
  if (spacing == "leading") return leading_times(steps, timesteps / steps);
  std::vector<int64_t> out = rounded_linspace(static_cast<double>(timesteps - 1), steps);
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<int64_t> dpm_times(const std::string& spacing, int64_t steps, int64_t timesteps) {
  check_sampler_steps(steps, timesteps);
  if (spacing == "trailing") return trailing_times(steps, timesteps);
  std::vector<int64_t> out;
  if (spacing == "leading") {
    if (timesteps / (steps + 1) == 0)
      throw ConfigError(
          fmt::format("sampler.steps is {}, and leading spacing needs fewer than {} timesteps",
                      steps, timesteps),
          "use sampler.spacing=linspace");
    out = leading_times(steps + 1, timesteps / (steps + 1));
  } else {
    out = rounded_linspace(static_cast<double>(timesteps - 1), steps + 1);
    std::reverse(out.begin(), out.end());
  }
  out.pop_back();
  return out;
}

std::vector<double> karras_sigmas(int64_t steps, double smallest, double largest) {
  constexpr double kRho = 7;
  const double low = std::pow(smallest, 1 / kRho), high = std::pow(largest, 1 / kRho);
  std::vector<double> out;
  for (int64_t i = 0; i < steps; ++i) {
    const double ramp = steps > 1 ? static_cast<double>(i) / static_cast<double>(steps - 1) : 0;
    out.push_back(std::pow(high + ramp * (low - high), kRho));
  }
  return out;
}

double time_of_sigma(double sigma, const std::vector<double>& sigmas) {
  if (sigmas.size() < 2) return 0;
  const auto above = std::upper_bound(sigmas.begin(), sigmas.end(), sigma);
  const auto index =
      std::clamp<int64_t>(above - sigmas.begin() - 1, 0, static_cast<int64_t>(sigmas.size()) - 2);
  const double low = std::log(sigmas[static_cast<size_t>(index)]),
               high = std::log(sigmas[static_cast<size_t>(index) + 1]);
  const double share = std::clamp((low - std::log(sigma)) / (low - high), 0.0, 1.0);
  return (1 - share) * static_cast<double>(index) + share * static_cast<double>(index + 1);
}

}  // namespace lockstep
