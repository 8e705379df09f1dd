#include "tasks/images/image_diffusion.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {

void ImageDiffusion::check(const DenoiserFacts& facts) const {
  diffusion.check(facts);
  if (options.image_size % facts.divisor != 0)
    throw ConfigError(fmt::format("task.image_size is {}, and the network halves it so often that "
                                  "it must be a multiple of {}",
                                  options.image_size, facts.divisor),
                      "change task.image_size, or use fewer stages in task.model.dim_mults");
}

Denoiser& as_denoiser(Model& model) {
  auto* denoiser = dynamic_cast<Denoiser*>(&model);
  if (denoiser == nullptr)
    throw InternalError("the image_diffusion task got a model of another task");
  return *denoiser;
}

at::Tensor pictures_to_signal(const at::Tensor& bytes) {
  return bytes.to(at::kFloat).div_(255).mul_(2).sub_(1);
}

at::Tensor signal_to_pictures(const at::Tensor& x) {
  return ((x + 1) * 0.5).mul_(255).add_(0.5).clamp_(0, 255).to(at::kByte);
}

}  // namespace lockstep
