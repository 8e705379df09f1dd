#include "tasks/images/image_drawing.h"

#include <numeric>

#include <ATen/ATen.h>

#include "core/philox.h"
#include "models/diffusion/sampler_update.h"
#include "tensor/random.h"

namespace lockstep {

at::Tensor run_sampler(Denoiser& model, const at::Tensor& start, const SamplerRun& run) {
  const at::NoGradGuard no_grad;
  if (!model.device().is_cpu()) {
    DeviceSamplers alone;
    DeviceSamplers& samplers = run.recorded != nullptr ? *run.recorded : alone;
    SamplerDraw draw;
    draw.start = start;
    draw.noise = run.noise;
    draw.classes = run.classes;
    draw.after_step = run.after_step;
    draw.look = run.look;
    return samplers.of(model, *run.plan, *run.guidance, start.sizes().vec(), /*with_graph=*/true)
        .draw(draw)
        .cpu();
  }
  SamplerState state{start.contiguous().clone(), {}};
  DenoiserInput input;
  input.classes = run.classes;
  int64_t k = 0;
  for (const SamplerStep& step : run.plan->steps) {
    input.x = state.x;
    input.t = at::full({start.size(0)}, step.time, at::kLong);
    if (model.facts().self_condition) input.self_condition = state.start;
    const at::Tensor output = predict_guided(model, input, *run.guidance);
    sampler_update(step, output, needs_noise(step) ? run.noise(k) : at::Tensor(), state);
    if (run.look) run.look(k, state.x);
    if (run.after_step) run.after_step();
    ++k;
  }
  return state.x;
}

PictureDrawer::PictureDrawer(const ImageDiffusion& images, const Choice& sampler, uint64_t seed)
    : PictureDrawer(images, sampler_kinds().make(sampler, images.diffusion.schedule()), seed) {}

PictureDrawer::PictureDrawer(const ImageDiffusion& images, std::unique_ptr<SamplerPlan> plan,
                             uint64_t seed)
    : images_(images), plan_(std::move(plan)), seed_(seed) {}

at::Tensor PictureDrawer::draw(Model& model, int64_t first, int64_t count, int64_t batch,
                               const std::function<void()>& after_step) const {
  Denoiser& denoiser = as_denoiser(model);
  const int64_t size = images_.options.image_size;
  std::vector<int64_t> ids(static_cast<size_t>(std::max(batch, count)));
  std::iota(ids.begin(), ids.end(), first);
  const Stream stream(seed_, Purpose::kSampling);
  at::Tensor classes;
  if (denoiser.facts().num_classes > 0) {
    classes = at::tensor(ids).remainder(classes_.empty() ? denoiser.facts().num_classes
                                                         : static_cast<int64_t>(classes_.size()));
    if (!classes_.empty()) classes = at::tensor(classes_).index_select(0, classes);
  }
  if (!model.device().is_cpu()) {
    SamplerDraw draw;
    draw.stream = &stream;
    draw.classes = classes;
    draw.after_step = after_step;
    draw.ids = ids;
    return on_device(denoiser, static_cast<int64_t>(ids.size())).draw(draw).narrow(0, 0, count);
  }
  const auto noise = [&](uint32_t step) {
    return random_normal(stream, ids, step, {denoiser.facts().channels, size, size});
  };
  SamplerRun run;
  run.plan = plan_.get();
  run.guidance = &images_.options.guidance;
  run.noise = [&](int64_t k) { return noise(static_cast<uint32_t>(k + 1)); };
  run.classes = classes;
  run.after_step = after_step;
  return run_sampler(denoiser, noise(0), run).narrow(0, 0, count);
}

DeviceSampler& PictureDrawer::on_device(Denoiser& denoiser, int64_t rows) const {
  const int64_t size = images_.options.image_size;
  return recorded_.of(denoiser, *plan_, images_.options.guidance,
                      {rows, denoiser.facts().channels, size, size}, graphs_);
}

std::string PictureDrawer::why_no_graph(Model& model, int64_t batch) const {
  if (model.device().is_cpu()) return "a CPU has no graphs";
  const DeviceSampler& sampler = on_device(as_denoiser(model), batch);
  return sampler.is_recorded()        ? ""
         : sampler.obstacle().empty() ? "too few steps were drawn to record one"
                                      : sampler.obstacle();
}

}  // namespace lockstep
