#include "models/diffusion/diffusion_schedule.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr double kLargestBeta = 0.999;
constexpr double kSmallestVariance = 1e-20;

std::vector<double> linear_betas(const DiffusionOptions& options) {
  const auto steps = static_cast<double>(options.timesteps);
  const double first = options.linear_start.value_or(1000 / steps * 0.0001);
  const double last = options.linear_end.value_or(1000 / steps * 0.02);
  std::vector<double> betas;
  for (int64_t i = 0; i < options.timesteps; ++i)
    betas.push_back(i == 0 ? first : first + (last - first) / (steps - 1) * static_cast<double>(i));
  return betas;
}

// Betas of a curve that gives alpha-bar (up to a factor) at time u in [0, 1].
template <class Curve>
std::vector<double> betas_of_curve(int64_t timesteps, Curve curve) {
  std::vector<double> betas;
  const double first = curve(0.0);
  double before = 1;
  for (int64_t i = 1; i <= timesteps; ++i) {
    const double now = curve(static_cast<double>(i) / static_cast<double>(timesteps)) / first;
    betas.push_back(std::clamp(1 - now / before, 0.0, kLargestBeta));
    before = now;
  }
  return betas;
}

double cosine_curve(double u) {
  constexpr double kShift = 0.008;
  const double c = std::cos((u + kShift) / (1 + kShift) * M_PI * 0.5);
  return c * c;
}

// Upstream computes the curve's ends in float32 and the rest in double: near u = 1 that decides.
double sigmoid32(float x) { return at::scalar_tensor(x, at::kFloat).sigmoid().item<float>(); }
double sigmoid64(double x) { return 1 / (1 + std::exp(-x)); }

std::vector<double> sigmoid_betas(int64_t timesteps) {
  constexpr double kStart = -3, kEnd = 3;
  const double start = sigmoid32(kStart), end = sigmoid32(kEnd);
  return betas_of_curve(timesteps, [=](double u) {
    return (-sigmoid64(u * (kEnd - kStart) + kStart) + end) / (end - start);
  });
}

std::vector<double> make_betas(const DiffusionOptions& options) {
  if (options.beta_schedule == "linear") return linear_betas(options);
  if (options.beta_schedule == "cosine") return betas_of_curve(options.timesteps, cosine_curve);
  return sigmoid_betas(options.timesteps);
}

void check(const std::vector<double>& betas, const DiffusionOptions& options) {
  for (size_t i = 0; i < betas.size(); ++i)
    if (!(betas[i] > 0 && betas[i] < 1))
      throw ConfigError(fmt::format("task.diffusion.timesteps {} with a {} beta_schedule gives "
                                    "beta {} at step {}; it must lie between 0 and 1",
                                    options.timesteps, options.beta_schedule, betas[i], i),
                        "use more timesteps, or another beta_schedule");
}

at::Tensor float32(const std::vector<double>& values) {
  return at::tensor(values, at::TensorOptions().dtype(at::kDouble)).to(at::kFloat);
}

template <class Function>
at::Tensor float32(const std::vector<double>& values, Function function) {
  std::vector<double> out;
  for (double value : values) out.push_back(function(value));
  return float32(out);
}

}  // namespace

DiffusionSchedule::DiffusionSchedule(const DiffusionOptions& options)
    : objective(options.objective == "pred_noise" ? Objective::kNoise
                : options.objective == "pred_x0"  ? Objective::kStart
                                                  : Objective::kVelocity),
      timesteps(options.timesteps),
      is_cosine(options.beta_schedule == "cosine"),
      betas(make_betas(options)) {
  check(betas, options);
  double product = 1;
  for (double beta : betas) {
    abar_previous.push_back(product);
    const double before = product;
    product *= 1 - beta;
    abar.push_back(product);
    const double variance = beta * (1 - before) / (1 - product);
    posterior_variance.push_back(variance);
    posterior_log_variance_clipped.push_back(std::log(std::max(variance, kSmallestVariance)));
    posterior_mean_coef1.push_back(beta * std::sqrt(before) / (1 - product));
    posterior_mean_coef2.push_back((1 - before) * std::sqrt(1 - beta) / (1 - product));
    const double snr = product / (1 - product);
    const double limited = options.min_snr_loss_weight ? std::min(snr, options.min_snr_gamma) : snr;
    loss_weight.push_back(objective == Objective::kNoise   ? limited / snr
                          : objective == Objective::kStart ? limited
                                                           : limited / (snr + 1));
  }
}

NamedTensors DiffusionSchedule::buffers() const {
  return {
      {"betas", float32(betas)},
      {"alphas_cumprod", float32(abar)},
      {"alphas_cumprod_prev", float32(abar_previous)},
      {"sqrt_alphas_cumprod", float32(abar, [](double a) { return std::sqrt(a); })},
      {"sqrt_one_minus_alphas_cumprod", float32(abar, [](double a) { return std::sqrt(1 - a); })},
      {"log_one_minus_alphas_cumprod", float32(abar, [](double a) { return std::log(1 - a); })},
      {"sqrt_recip_alphas_cumprod", float32(abar, [](double a) { return std::sqrt(1 / a); })},
      {"sqrt_recipm1_alphas_cumprod", float32(abar, [](double a) { return std::sqrt(1 / a - 1); })},
      {"posterior_variance", float32(posterior_variance)},
      {"posterior_log_variance_clipped", float32(posterior_log_variance_clipped)},
      {"posterior_mean_coef1", float32(posterior_mean_coef1)},
      {"posterior_mean_coef2", float32(posterior_mean_coef2)},
      {"loss_weight", float32(loss_weight)}};
}

LinearForm DiffusionSchedule::start(double a) const {
  switch (objective) {
    case Objective::kNoise:
      return {std::sqrt(1 / a), -std::sqrt(1 / a - 1)};
    case Objective::kStart:
      return {0, 1};
    case Objective::kVelocity:
      return {std::sqrt(a), -std::sqrt(1 - a)};
  }
  throw InternalError("unknown objective");
}

LinearForm DiffusionSchedule::noise(double a) const {
  switch (objective) {
    case Objective::kNoise:
      return {0, 1};
    case Objective::kStart:
      return {1 / std::sqrt(1 - a), -std::sqrt(a / (1 - a))};
    case Objective::kVelocity:
      return {std::sqrt(1 - a), std::sqrt(a)};
  }
  throw InternalError("unknown objective");
}

}  // namespace lockstep
