#include "tasks/images/device_sampler.h"

#include <cmath>
#include <deque>

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/log.h"
#include "core/text_lines.h"
#include "models/diffusion/device_kernels.h"
#include "models/diffusion/sampler_update.h"

namespace lockstep {
namespace {

// The plan as kernels/sampler_kernel.h wants it, behind a row for the start. `learned`: the network
// gives variances.
at::Tensor table_of(const SamplerPlan& plan, bool learned) {
  const auto rows = static_cast<int64_t>(plan.steps.size());
  at::Tensor table = at::zeros({rows + 1, kSamplerNumbers}, at::kDouble);
  auto* out = table.mutable_data_ptr<double>();
  for (const SamplerStep& step : plan.steps) {
    out += kSamplerNumbers;
    const double limit = step.clip ? 1 : HUGE_VAL;
    const bool by_word = learned && step.learned.has_value();
    const double numbers[kSamplerNumbers] = {step.start.x,
                                             step.start.output,
                                             -limit,
                                             limit,
                                             step.x_weight,
                                             step.start_weight,
                                             step.output_weight,
                                             step.previous_weight,
                                             step.noise_weight,
                                             by_word ? step.learned->low : 0,
                                             by_word ? step.learned->high : 0,
                                             by_word ? 1.0 : 0};
    std::copy(std::begin(numbers), std::end(numbers), out);
  }
  return table;
}

at::Tensor times_of(const SamplerPlan& plan) {
  std::vector<int64_t> times = {0};
  for (const SamplerStep& step : plan.steps) times.push_back(step.time);
  return at::tensor(times, at::kLong);
}

}  // namespace

DeviceSampler::DeviceSampler(std::unique_ptr<Device> device, Denoiser& model,
                             const SamplerPlan& plan, const GuidanceOptions& guidance,
                             std::vector<int64_t> sizes, bool with_graph)
    : device_(std::move(device)),
      model_(model),
      plan_(plan),
      guidance_(guidance),
      with_graph_(with_graph),
      queue_(device_->make_queue()) {
  if (plan.steps.empty() || plan.steps.front().previous_weight != 0)
    throw InternalError("a sampler's first step asks for the one before");
  device_->synchronize();  // weights that were written on another queue are there
  const at::TensorOptions here = at::TensorOptions(at::kFloat).device(device_->where());
  queue_->run([&] {
    x_ = at::zeros(sizes, here);
    start_ = at::zeros(sizes, here);
    for (const SamplerStep& step : plan.steps)
      if (needs_noise(step) && !noise_.defined()) noise_ = at::zeros(sizes, here);
    table_ = table_of(plan, model.facts().learned_variance).to(device_->where());
    times_ = times_of(plan).to(device_->where());
    now_ = at::zeros({1}, here.dtype(at::kLong));
    ids_ = at::zeros({sizes.at(0)}, here.dtype(at::kLong));
    if (model.facts().num_classes > 0) classes_ = at::zeros({sizes.at(0)}, here.dtype(at::kLong));
  });
}

DeviceSampler::~DeviceSampler() {
  try {
    device_->synchronize();  // a graph must not go while it is replayed
  } catch (const std::exception& error) {
    log_warning(fmt::format("the device failed while pictures were drawn: {}", error.what()));
  }
}

void DeviceSampler::begin(const SamplerDraw& draw) {
  draws_noise_ = draw.stream != nullptr && noise_.defined();
  queue_->run([&] {
    now_.zero_();
    start_.zero_();
    for (const auto& [memory, copy] : copies_) copy.copy_(memory);
    if (classes_.defined()) classes_.copy_(draw.classes);
    if (draw.stream == nullptr) {
      x_.copy_(draw.start);
      return;
    }
    key_ = draw.stream->key();
    ids_.copy_(at::tensor(draw.ids, at::kLong));
    const SamplerKernels kernels = sampler_kernels_for(x_);
    kernels.fill_normal(random_rows(*draw.stream, x_.size(0), x_.numel() / x_.size(0)),
                        ids_.const_data_ptr<int64_t>(), now_.const_data_ptr<int64_t>(),
                        x_.mutable_data_ptr<float>(), kernels.stream);
  });
}

void DeviceSampler::bring_noise(const at::Tensor& noise) {
  at::Tensor pinned = device_->pinned(noise.sizes(), at::kFloat);
  pinned.copy_(noise);
  queue_->run([&] { noise_.copy_(pinned, /*non_blocking=*/true); });
}

void DeviceSampler::step() {
  const int64_t images = x_.size(0), elements = x_.numel() / images;
  now_.add_(1);
  DenoiserInput input;
  input.x = x_;
  input.t = times_.index_select(0, now_).expand({images}).contiguous();
  if (model_.facts().self_condition)
    input.self_condition = start_;  // zeros at first: no estimate yet
  input.classes = classes_;
  const at::Tensor output = predict_guided(model_, input, guidance_).contiguous();
  const SamplerKernels kernels = sampler_kernels_for(x_);
  const int64_t* now = now_.const_data_ptr<int64_t>();
  float* noise = noise_.defined() ? noise_.mutable_data_ptr<float>() : nullptr;
  if (draws_noise_)
    kernels.fill_normal({images, elements, {key_[0], key_[1]}}, ids_.const_data_ptr<int64_t>(), now,
                        noise, kernels.stream);
  kernels.step({images, elements, output.numel() / images}, table_.const_data_ptr<double>(), now,
               x_.mutable_data_ptr<float>(), start_.mutable_data_ptr<float>(),
               output.const_data_ptr<float>(), noise, kernels.stream);
}

void DeviceSampler::place_weights(Parameters& moved) {
  const at::DeviceType type = device_->where().type();
  const bool casts =
      at::autocast::is_autocast_enabled(type) && at::autocast::is_autocast_cache_enabled();
  copies_.clear();
  for (const NamedTensor& entry : model_.parameters()) {
    at::Tensor weight = entry.tensor;
    if (weight.scalar_type() != at::kFloat) continue;
    const at::Tensor memory = weight.detach();
    const bool turns = type == at::kCUDA && weight.dim() == 4 &&
                       !weight.is_contiguous(at::MemoryFormat::ChannelsLast);
    if (turns) {
      moved.push_back({weight, memory});
      weight.set_data(memory.contiguous(at::MemoryFormat::ChannelsLast));
    }
    // Both: which of them an operation reads is autocast's business.
    if (turns) copies_.push_back({memory, weight.detach()});
    if (casts)
      copies_.push_back({memory, at::autocast::cached_cast(at::autocast::get_autocast_dtype(type),
                                                           weight, type)});
  }
}

void DeviceSampler::record() {
  auto graph = device_->make_graph();
  Parameters moved;
  try {
    queue_->run([&] { place_weights(moved); });
    graph->record(*queue_, [this] { step(); });
    graph_ = std::move(graph);
  } catch (const std::exception& error) {
    obstacle_ = first_line(error.what());
    log_info(fmt::format(
        "a sampler's step cannot be recorded in a graph ({}); continuing step by step", obstacle_));
  }
  for (auto& [weight, memory] : moved) weight.set_data(memory);
}

void DeviceSampler::advance() {
  if (with_graph_ && graph_ == nullptr && obstacle_.empty() && warm_up_ >= kWarmUp) record();
  if (graph_ != nullptr) return graph_->replay(*queue_);
  queue_->run([this] { step(); });
  ++warm_up_;
}

const at::Tensor& DeviceSampler::draw(const SamplerDraw& draw) {
  const at::NoGradGuard no_grad;
  device_->synchronize();  // the weights, and whoever still reads the pictures of the last draw
  const bool drew_noise = draws_noise_;
  const PhiloxKey key = key_;
  begin(draw);
  // Key and source of noise are part of what was recorded.
  if (graph_ != nullptr && (drew_noise != draws_noise_ || (draws_noise_ && key != key_)))
    graph_.reset();
  std::deque<std::unique_ptr<DeviceMark>> queued;
  const auto finish_first = [&] {
    queued.pop_front();
    if (draw.after_step) draw.after_step();
  };
  try {
    for (size_t k = 0; k < plan_.steps.size(); ++k) {
      if (draw.stream == nullptr && needs_noise(plan_.steps[k]))
        bring_noise(draw.noise(static_cast<int64_t>(k)));
      advance();
      queued.push_back(queue_->mark());
      if (draw.look) {
        at::Tensor seen;
        queue_->run([&] { seen = x_.cpu(); });
        draw.look(static_cast<int64_t>(k), seen);
      }
      while (!queued.empty() && queued.front()->reached()) finish_first();
    }
    while (!queued.empty()) {
      queued.front()->wait_on_host();
      finish_first();
    }
  } catch (...) {
    device_->synchronize();
    throw;
  }
  return x_;
}

DeviceSampler& DeviceSamplers::of(Denoiser& model, const SamplerPlan& plan,
                                  const GuidanceOptions& guidance,
                                  const std::vector<int64_t>& sizes, bool with_graph) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<DeviceSampler>& sampler = samplers_[{&model, sizes}];
  if (!sampler)
    sampler = std::make_unique<DeviceSampler>(make_cuda_device(model.device().index()), model, plan,
                                              guidance, sizes, with_graph);
  return *sampler;
}

}  // namespace lockstep
