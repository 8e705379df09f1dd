#include "models/unet/unet.h"

#include <cmath>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "models/unet/unet_body.h"

namespace lockstep {
namespace {

// A list with one value for each stage from an option that may be one value or a list.
template <class T>
std::vector<T> for_stages(const OneOrList<T>& option, T otherwise, size_t stages,
                          const char* name) {
  if (option.each.empty()) return std::vector<T>(stages, option.one.value_or(otherwise));
  if (option.each.size() != stages)
    throw ConfigError(
        fmt::format("task.model.{} has {} values for {} stages", name, option.each.size(), stages),
        "give one value, or one for each of dim_mults");
  return option.each;
}

// As upstream: false, or nothing, means full attention in the innermost stage alone.
std::vector<bool> full_stages(const OneOrList<bool>& option, size_t stages) {
  if (!option.each.empty() || option.one.value_or(false))
    return for_stages(option, false, stages, "full_attn");
  std::vector<bool> full(stages, false);
  full.back() = true;
  return full;
}

void check(const UnetOptions& o) {
  if (o.dim_mults.empty())
    throw ConfigError("task.model.dim_mults is empty", "name at least one stage: [1]");
  if (o.dim_mults.size() > 16) throw ConfigError("task.model.dim_mults has more than 16 stages");
  if (!has_fourier_time(o) && (o.dim < 4 || o.dim % 2 != 0))
    throw ConfigError(fmt::format(
        "task.model.dim is {}, and the time's features need an even number of at least 4", o.dim));
  if (has_fourier_time(o) && o.learned_sinusoidal_dim % 2 != 0)
    throw ConfigError("task.model.learned_sinusoidal_dim is odd",
                      "it counts pairs of sine and cosine");
}

class Unet : public Denoiser {
 public:
  Unet(const UnetOptions& options, uint64_t seed) : options_(options) {
    const UnetShape shape = unet_shape(options);
    const LayerMaker make(
        [this](const std::string& name, at::Tensor initial) { return parameter(name, initial); },
        seed);
    body_.make_first(make, shape);
    make_time(make);
    body_.make_stages(make, shape);

    facts_.channels = options.channels;
    facts_.out_channels = shape.out_dim;
    facts_.self_condition = options.self_condition;
    facts_.learned_variance = options.learned_variance;
    facts_.for_diffusion = !has_fourier_time(options);
    facts_.dropout = options.dropout;
    facts_.divisor = int64_t{1} << (shape.stage_dims.size() - 1);
  }

  at::Tensor predict(const DenoiserInput& input) override {
    if (input.x.device() != device()) return predict(input.on(device())).to(input.x.device());
    at::Tensor x = input.x;
    if (options_.self_condition)
      x = at::cat({input.self_condition.defined() ? input.self_condition : at::zeros_like(x), x},
                  1);
    UnetPass pass{map_order(options_.memory_format, device()),
                  Dropout(options_.dropout, input.dropout)};
    return body_(x, at::silu(time_features(input.t)), pass).to(at::kFloat);
  }

 private:
  void make_time(const LayerMaker& make) {
    int64_t features = options_.dim;
    if (has_fourier_time(options_)) {
      features = options_.learned_sinusoidal_dim + 1;
      const at::Tensor initial = make.random({options_.learned_sinusoidal_dim / 2});
      const char* name = "time_mlp.0.weights";
      frequencies_ =
          options_.random_fourier_features ? buffer(name, initial) : parameter(name, initial);
    }
    time1_ = Linear(make, "time_mlp.1", features, 4 * options_.dim);
    time2_ = Linear(make, "time_mlp.3", 4 * options_.dim, 4 * options_.dim);
  }

  at::Tensor time_features(const at::Tensor& t) const {
    const at::Tensor features =
        frequencies_.defined()
            ? fourier_features(t, frequencies_)
            : sinusoidal_features(t, options_.dim, options_.sinusoidal_pos_emb_theta);
    return time2_(at::gelu(time1_(features)));
  }

  UnetOptions options_;
  UnetBody body_;
  at::Tensor frequencies_;
  Linear time1_, time2_;
};

}  // namespace

bool has_fourier_time(const UnetOptions& o) {
  return o.learned_sinusoidal_cond || o.random_fourier_features;
}

UnetShape unet_shape(const UnetOptions& options) {
  check(options);
  const size_t stages = options.dim_mults.size();
  UnetShape shape;
  shape.input_channels = options.channels * (options.self_condition ? 2 : 1);
  shape.init_dim = options.init_dim.value_or(options.dim);
  shape.out_dim = options.out_dim.value_or(options.channels * (options.learned_variance ? 2 : 1));
  for (const int64_t times : options.dim_mults) shape.stage_dims.push_back(options.dim * times);
  shape.condition_dim = 4 * options.dim;
  shape.full_attention = full_stages(options.full_attn, stages);
  const auto heads = for_stages<int64_t>(options.attn_heads, 4, stages, "attn_heads");
  const auto dim_head = for_stages<int64_t>(options.attn_dim_head, 32, stages, "attn_dim_head");
  for (size_t i = 0; i < stages; ++i) shape.attention.push_back({heads[i], dim_head[i]});
  shape.middle_attention = shape.attention.back();
  return shape;
}

std::unique_ptr<Denoiser> make_unet(const UnetOptions& options, uint64_t seed) {
  return std::make_unique<Unet>(options, seed);
}

}  // namespace lockstep
