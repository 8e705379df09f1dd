#include "tasks/images/gaussian_diffusion.h"

#include <cmath>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

at::Tensor mean_of_images(const at::Tensor& x) { return x.mean({1, 2, 3}); }

// KL divergence between Gaussians, in nats.
at::Tensor gaussian_kl(const at::Tensor& mean1, const at::Tensor& log_var1, const at::Tensor& mean2,
                       const at::Tensor& log_var2) {
  return 0.5 * (-1.0 + log_var2 - log_var1 + at::exp(log_var1 - log_var2) +
                (mean1 - mean2).square() * at::exp(-log_var2));
}

// The normal distribution function by its tanh approximation, as upstream.
at::Tensor normal_cdf(const at::Tensor& x) {
  return 0.5 * (1.0 + at::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x.pow(3))));
}

at::Tensor safe_log(const at::Tensor& x) { return at::log(x.clamp_min(1e-15)); }

// Log-likelihood of 8-bit pictures under a Gaussian cut into bins of 2/255, the outer ones open.
at::Tensor discretized_log_likelihood(const at::Tensor& x, const at::Tensor& means,
                                      const at::Tensor& log_scales) {
  constexpr double kEdge = 0.999;
  const at::Tensor centered = x - means, inverse = at::exp(-log_scales);
  const at::Tensor upper = normal_cdf(inverse * (centered + 1.0 / 255.0));
  const at::Tensor lower = normal_cdf(inverse * (centered - 1.0 / 255.0));
  return at::where(x < -kEdge, safe_log(upper),
                   at::where(x > kEdge, safe_log(1.0 - lower), safe_log(upper - lower)));
}

}  // namespace

struct GaussianDiffusion::Copies {
  std::mutex mutex;
  std::map<std::pair<std::string, std::string>, at::Tensor> tensors;  // by name and device
};

GaussianDiffusion::GaussianDiffusion(const DiffusionOptions& options, double variational_weight)
    : options_(options),
      schedule_(options),
      variational_weight_(variational_weight),
      buffers_(schedule_.buffers()),
      copies_(std::make_shared<Copies>()) {
  buffers_.push_back({"log_betas", find_tensor(buffers_, "betas")->log()});
}

void GaussianDiffusion::check(const DenoiserFacts& facts) const {
  if (!facts.for_diffusion)
    throw ConfigError(
        "task.model.learned_sinusoidal_cond and task.model.random_fourier_features do not fit this "
        "diffusion",
        "they are for times between 0 and 1; `lockstep forward` takes them");
  const int64_t wanted = facts.channels * (facts.learned_variance ? 2 : 1);
  if (facts.out_channels != wanted)
    throw ConfigError(fmt::format("task.model.out_dim is {}, and this diffusion needs {}",
                                  facts.out_channels, wanted),
                      "leave task.model.out_dim out");
  if (facts.learned_variance && facts.self_condition)
    throw ConfigError(
        "task.model.learned_variance and task.model.self_condition do not go together");
  if (facts.learned_variance && schedule_.objective == Objective::kVelocity)
    throw ConfigError(
        "task.model.learned_variance needs task.diffusion.objective pred_noise or pred_x0");
}

at::Tensor GaussianDiffusion::at_times(const char* name, const at::Tensor& t) const {
  return buffer(name, t).gather(0, t).reshape({-1, 1, 1, 1});
}

at::Tensor GaussianDiffusion::buffer(const char* name, const at::Tensor& t) const {
  const at::Tensor& here = *find_tensor(buffers_, name);
  if (t.is_cpu()) return here;
  const std::lock_guard lock(copies_->mutex);
  at::Tensor& there = copies_->tensors[{name, t.device().str()}];
  if (!there.defined()) there = here.to(t.device());
  return there;
}

NoisedBatch GaussianDiffusion::noised(const at::Tensor& start, const at::Tensor& t,
                                      const at::Tensor& noise) const {
  return {start, t, noise,
          at_times("sqrt_alphas_cumprod", t) * start +
              at_times("sqrt_one_minus_alphas_cumprod", t) * noise};
}

at::Tensor GaussianDiffusion::estimate(const at::Tensor& output, const NoisedBatch& batch) const {
  switch (schedule_.objective) {
    case Objective::kNoise:
      return at_times("sqrt_recip_alphas_cumprod", batch.t) * batch.x -
             at_times("sqrt_recipm1_alphas_cumprod", batch.t) * output;
    case Objective::kStart:
      return output;
    case Objective::kVelocity:
      return at_times("sqrt_alphas_cumprod", batch.t) * batch.x -
             at_times("sqrt_one_minus_alphas_cumprod", batch.t) * output;
  }
  throw InternalError("unknown objective");
}

at::Tensor GaussianDiffusion::target(const NoisedBatch& batch) const {
  switch (schedule_.objective) {
    case Objective::kNoise:
      return batch.noise;
    case Objective::kStart:
      return batch.start;
    case Objective::kVelocity:
      return at_times("sqrt_alphas_cumprod", batch.t) * batch.noise -
             at_times("sqrt_one_minus_alphas_cumprod", batch.t) * batch.start;
  }
  throw InternalError("unknown objective");
}

at::Tensor GaussianDiffusion::losses(const at::Tensor& output, const NoisedBatch& batch) const {
  const int64_t channels = batch.start.size(1);
  const at::Tensor prediction = output.narrow(1, 0, channels);
  const at::Tensor weight = buffer("loss_weight", batch.t).gather(0, batch.t);
  const at::Tensor simple = mean_of_images((prediction - target(batch)).square()) * weight;
  if (output.size(1) != 2 * channels) return simple;
  return simple + variational_bits(prediction, output.narrow(1, channels, channels), batch) *
                      variational_weight_;
}

at::Tensor GaussianDiffusion::variational_bits(const at::Tensor& output, const at::Tensor& word,
                                               const NoisedBatch& batch) const {
  const at::Tensor low = at_times("posterior_log_variance_clipped", batch.t),
                   high = at_times("log_betas", batch.t);
  const at::Tensor share = (word + 1) * 0.5;
  const at::Tensor log_variance = share * high + (1 - share) * low;
  const at::Tensor coef1 = at_times("posterior_mean_coef1", batch.t),
                   coef2 = at_times("posterior_mean_coef2", batch.t);
  const at::Tensor true_mean = coef1 * batch.start + coef2 * batch.x;
  // The mean is trained by the simple loss alone, for stability (arXiv:2102.09672, 3.1).
  const at::Tensor mean = (coef1 * estimate(output, batch) + coef2 * batch.x).detach();
  const double bits = 1 / std::log(2.0);
  const at::Tensor kl = mean_of_images(gaussian_kl(true_mean, low, mean, log_variance)) * bits;
  const at::Tensor decoder =
      -mean_of_images(discretized_log_likelihood(batch.start, mean, 0.5 * log_variance)) * bits;
  return at::where(batch.t == 0, decoder, kl);
}

}  // namespace lockstep
