#include "tasks/image_drawing.h"

#include <numeric>
#include <optional>

#include <ATen/ATen.h>

#include "core/philox.h"
#include "models/sampler_update.h"
#include "tasks/graphed_network.h"
#include "tensor/random.h"

namespace lockstep {

at::Tensor run_sampler(Denoiser& model, const at::Tensor& start, const SamplerRun& run) {
  const at::NoGradGuard no_grad;
  SamplerState state{start.contiguous().clone(), {}};
  DenoiserInput input;
  input.classes = run.classes;
  const auto guided = [&](const DenoiserInput& in) { return predict_guided(model, in, *run.guidance); };
  std::unique_ptr<Device> device;
  std::optional<GraphedNetwork> graphed;
  if (!model.device().is_cpu()) {
    device = make_cuda_device(model.device().index());
    graphed.emplace(*device, guided);
  }
  int64_t k = 0;
  for (const SamplerStep& step : run.plan->steps) {
    input.x = state.x;
    input.t = at::full({start.size(0)}, step.time, at::kLong);
    // Without an estimate the network takes zeros; where passes are recorded, they must be there from the start.
    if (model.facts().self_condition)
      input.self_condition = graphed && !state.start.defined() ? at::zeros_like(state.x) : state.start;
    const at::Tensor output = graphed ? (*graphed)(input) : guided(input);
    sampler_update(step, output, needs_noise(step) ? run.noise(k) : at::Tensor(), state);
    if (run.after_step) run.after_step(k, state.x);
    ++k;
  }
  return state.x;
}

PictureDrawer::PictureDrawer(const ImageDiffusion& images, const Choice& sampler, uint64_t seed)
    : PictureDrawer(images, sampler_kinds().make(sampler, images.diffusion.schedule()), seed) {}

PictureDrawer::PictureDrawer(const ImageDiffusion& images, std::unique_ptr<SamplerPlan> plan, uint64_t seed)
    : images_(images), plan_(std::move(plan)), seed_(seed) {}

at::Tensor PictureDrawer::draw(Model& model, int64_t first, int64_t count, int64_t batch,
                               const std::function<void()>& after_step) const {
  Denoiser& denoiser = as_denoiser(model);
  const int64_t size = images_.options.image_size;
  std::vector<int64_t> ids(static_cast<size_t>(std::max(batch, count)));
  std::iota(ids.begin(), ids.end(), first);
  const Stream stream(seed_, Purpose::kSampling);
  const auto noise = [&](uint32_t step) { return random_normal(stream, ids, step, {denoiser.facts().channels, size, size}); };
  SamplerRun run;
  run.plan = plan_.get();
  run.guidance = &images_.options.guidance;
  run.noise = [&](int64_t k) { return noise(static_cast<uint32_t>(k + 1)); };
  if (denoiser.facts().num_classes > 0) {
    run.classes = at::tensor(ids).remainder(classes_.empty() ? denoiser.facts().num_classes : static_cast<int64_t>(classes_.size()));
    if (!classes_.empty()) run.classes = at::tensor(classes_).index_select(0, run.classes);
  }
  if (after_step) run.after_step = [&](int64_t, const at::Tensor&) { after_step(); };
  return run_sampler(denoiser, noise(0), run).narrow(0, 0, count);
}

}  // namespace lockstep
