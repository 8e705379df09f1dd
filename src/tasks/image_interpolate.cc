// Between two pictures: both are noised, mixed, and brought back by DDPM.
//
// Ho et al., arXiv:2006.11239, section 4.3, as denoising-diffusion-pytorch 2.3.4 does it, except that
// what comes out is (x+1)/2 like all pictures here.
#include <ATen/ATen.h>
#include <charconv>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/philox.h"
#include "tasks/image_commands.h"
#include "tasks/image_drawing.h"
#include "tensor/random.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

// A flag's number between `low` and `high`, or `otherwise` without it.
double number_flag(const SampleRequest& request, const std::string& flag, double low, double high, double otherwise) {
  if (!request.has(flag)) return otherwise;
  const std::string text = request.value(flag);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= low && value <= high))
    throw ConfigError(fmt::format("{} needs a number between {} and {}, not '{}'", flag, low, high, text), "",
                      {"command line", 1, 1, flag + " " + text});
  return value;
}

// The tensor of that name, or Philox numbers: kSampling, the ids from `first` on, `step`.
at::Tensor noise_of(const NamedTensors& inputs, const char* name, const at::Tensor& like, uint64_t seed, int64_t first) {
  if (find_tensor(inputs, name) != nullptr) return expect_float(inputs, name, like.sizes().vec());
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < like.size(0); ++i) ids.push_back(first + i);
  return random_normal(Stream(seed, Purpose::kSampling), ids, 0, like.sizes().slice(1).vec());
}

}  // namespace

at::Tensor interpolate_images(const ImageDiffusion& images, Denoiser& model, const SampleRequest& request,
                              const std::function<void(int64_t)>& total, const std::function<void()>& after_step) {
  const DenoiserFacts& facts = model.facts();
  const int64_t timesteps = images.diffusion.schedule().timesteps;
  const auto t = static_cast<int64_t>(number_flag(request, "--time", 1, static_cast<double>(timesteps - 1), static_cast<double>(timesteps - 1)));
  const double mix = number_flag(request, "--mix", 0, 1, 0.5);
  const NamedTensors inputs = load_safetensors(request.value("--interpolate"));
  refuse_unknown(inputs, {"x1", "x2", "noise1", "noise2", "step_noise"});
  const at::Tensor x1 = expect_float(inputs, "x1", {-1, facts.channels, -1, -1}), x2 = expect_float(inputs, "x2", x1.sizes().vec());
  if (x1.numel() == 0 || x1.size(2) % facts.divisor != 0 || x1.size(3) % facts.divisor != 0)
    throw DataError(fmt::format("the input tensor 'x1' has shape {}, and its height and width must be multiples of {}",
                                c10::str(x1.sizes()), facts.divisor));
  const int64_t rows = x1.size(0);
  const at::Tensor times = at::full({rows}, t, at::kLong);
  const auto noised = [&](const at::Tensor& x, const char* name, int64_t first) {
    return images.diffusion.noised(x, times, noise_of(inputs, name, x, request.seed, first)).x;
  };
  const at::Tensor start = (1 - mix) * noised(x1, "noise1", 0) + mix * noised(x2, "noise2", rows);

  const std::unique_ptr<SamplerPlan> plan = make_ddpm({}, images.diffusion.schedule());
  plan->steps.erase(plan->steps.begin(), plan->steps.end() - t);  // from t−1 down to 0
  total(t);
  std::vector<int64_t> shape = x1.sizes().vec();
  shape.insert(shape.begin(), t);
  const bool given = find_tensor(inputs, "step_noise") != nullptr;
  const at::Tensor steps = given ? expect_float(inputs, "step_noise", shape) : at::Tensor();
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < rows; ++i) ids.push_back(i);
  SamplerRun run;
  run.plan = plan.get();
  run.guidance = &images.options.guidance;
  if (facts.num_classes > 0) run.classes = at::full({rows}, -1, at::kLong);
  run.noise = [&](int64_t k) {
    return given ? steps[k].contiguous()
                 : random_normal(Stream(request.seed, Purpose::kSampling), ids, static_cast<uint32_t>(k + 1), x1.sizes().slice(1).vec());
  };
  run.after_step = [&](int64_t, const at::Tensor&) { after_step(); };
  return run_sampler(model, start, run);
}

}  // namespace lockstep
