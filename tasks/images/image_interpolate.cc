// Between two pictures: both are noised, mixed, and brought back by DDPM.
//
// Ho et al., arXiv:2006.11239, section 4.3, as denoising-diffusion-pytorch 2.3.4 does it, except
// that what comes out is (x+1)/2 like all pictures here.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/philox.h"
#include "tasks/flag_values.h"
#include "tasks/images/image_commands.h"
#include "tasks/images/image_drawing.h"
#include "tasks/images/picture_pair.h"
#include "tensor/random.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

// The tensor of that name, or Philox numbers: kSampling, the ids from `first` on, `step`.
at::Tensor noise_of(const NamedTensors& inputs, const char* name, const at::Tensor& like,
                    uint64_t seed, int64_t first) {
  if (find_tensor(inputs, name) != nullptr) return expect_float(inputs, name, like.sizes().vec());
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < like.size(0); ++i) ids.push_back(first + i);
  return random_normal(Stream(seed, Purpose::kSampling), ids, 0, like.sizes().slice(1).vec());
}

}  // namespace

at::Tensor interpolate_images(const ImageDiffusion& images, Denoiser& model,
                              const SampleRequest& request,
                              const std::function<void(int64_t)>& total,
                              const std::function<void()>& after_step) {
  const DenoiserFacts& facts = model.facts();
  const int64_t last = images.diffusion.schedule().timesteps - 1;
  const int64_t t = whole_flag(request, "--time", 1, last, last);
  std::vector<double> mixes = number_list_flag(request, "--mix", 0, 1);
  if (mixes.empty()) mixes = {0.5};
  const NamedTensors inputs = read_picture_pair(request, facts, images.options.image_size);
  const at::Tensor& x1 = *find_tensor(inputs, "x1");
  const at::Tensor& x2 = *find_tensor(inputs, "x2");
  const int64_t pairs = x1.size(0), rows = pairs * static_cast<int64_t>(mixes.size());
  const at::Tensor times = at::full({pairs}, t, at::kLong);
  const auto noised = [&](const at::Tensor& x, const char* name, int64_t first) {
    return images.diffusion.noised(x, times, noise_of(inputs, name, x, request.seed, first)).x;
  };
  const at::Tensor from = noised(x1, "noise1", 0), to = noised(x2, "noise2", pairs);
  std::vector<at::Tensor> starts;
  for (const double mix : mixes) starts.push_back((1 - mix) * from + mix * to);

  const std::unique_ptr<SamplerPlan> plan = make_ddpm({}, images.diffusion.schedule());
  plan->steps.erase(plan->steps.begin(), plan->steps.end() - t);  // from t−1 down to 0
  total(t);
  std::vector<int64_t> shape = x1.sizes().vec();
  shape.insert(shape.begin(), t);
  const bool given = find_tensor(inputs, "step_noise") != nullptr;
  const at::Tensor steps = given ? expect_float(inputs, "step_noise", shape) : at::Tensor();
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < rows; ++i)
    ids.push_back(i % pairs);  // all mixes of a pair share their noise
  SamplerRun run;
  run.plan = plan.get();
  run.guidance = &images.options.guidance;
  if (facts.num_classes > 0) run.classes = at::full({rows}, -1, at::kLong);
  run.noise = [&](int64_t k) {
    return given ? steps[k].repeat({static_cast<int64_t>(mixes.size()), 1, 1, 1})
                 : random_normal(Stream(request.seed, Purpose::kSampling), ids,
                                 static_cast<uint32_t>(k + 1), x1.sizes().slice(1).vec());
  };
  run.after_step = after_step;
  return run_sampler(model, at::cat(starts), run);
}

}  // namespace lockstep
