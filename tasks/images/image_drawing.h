// Drawing pictures from a model: a sampler's table applied to start noise, step by step.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "models/denoiser.h"
#include "models/diffusion/samplers.h"
#include "tasks/images/device_sampler.h"
#include "tasks/images/image_diffusion.h"

namespace lockstep {

// Noise of the k-th step taken (0, 1, …) like the state, for steps that need some.
using StepNoise = std::function<at::Tensor(int64_t k)>;

struct SamplerRun {
  const SamplerPlan* plan = nullptr;
  const GuidanceOptions* guidance = nullptr;
  at::Tensor classes;                // i64 [B]; networks with classes need it
  StepNoise noise;                   // may be empty if no step needs it
  std::function<void()> after_step;  // may be empty
  std::function<void(int64_t k, const at::Tensor& x)>
      look;  // may be empty; x [B,C,H,W], not to be kept
  DeviceSamplers* recorded =
      nullptr;  // where a device's samplers are kept from call to call; null: for this call alone
};

// From `start` f32 [B, C, H, W] to the pictures, f32 around [-1, 1], not clamped, both on the host.
// One thread, without gradients; a row does not depend on the other rows.
at::Tensor run_sampler(Denoiser& model, const at::Tensor& start, const SamplerRun& run);

// Numbered pictures: picture i is decided by (weights, sampler, seed, i) alone, so neither ranks
// nor the order matter. Noise: Philox, kSampling, id i, step 0 for the start and k+1 for the k-th
// step.
class PictureDrawer {
 public:
  // `images` must outlive this object. Throws ConfigError if the sampler does not fit the schedule.
  PictureDrawer(const ImageDiffusion& images, const Choice& sampler, uint64_t seed);
  // By a table of one's own.
  PictureDrawer(const ImageDiffusion& images, std::unique_ptr<SamplerPlan> plan, uint64_t seed);
  const SamplerPlan& plan() const { return *plan_; }
  int64_t steps() const { return static_cast<int64_t>(plan_->steps.size()); }

  // Networks with classes: picture i is of class classes[i mod n], -1 for none; without this call
  // of class i mod the network's number of classes. Before draw().
  void set_classes(std::vector<int64_t> classes) { classes_ = std::move(classes); }

  // Pictures first … first+count−1, f32 [count, C, H, W] around [-1, 1]. The network sees `batch` ≥
  // count rows, the missing ones drawn and thrown away: equal shapes give equal bits. Several
  // threads may draw at once, each with a model of its own. `after_step` is called after each of
  // steps(). They lie where the model does; on a device they are valid until this object draws
  // again (tasks/images/device_sampler.h).
  at::Tensor draw(Model& model, int64_t first, int64_t count, int64_t batch,
                  const std::function<void()>& after_step = {}) const;
  // On a device: false runs every step operation by operation.
  void use_graphs(bool graphs) { graphs_ = graphs; }
  // How the last draw of `batch` rows on a device went: "" if its step is replayed, else why not.
  std::string why_no_graph(Model& model, int64_t batch) const;

 private:
  DeviceSampler& on_device(Denoiser& denoiser, int64_t rows) const;

  const ImageDiffusion& images_;
  std::unique_ptr<SamplerPlan> plan_;
  uint64_t seed_;
  std::vector<int64_t> classes_;
  bool graphs_ = true;
  mutable DeviceSamplers recorded_;
};

}  // namespace lockstep
