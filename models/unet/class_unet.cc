#include "models/unet/class_unet.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "models/unet/unet_body.h"

namespace lockstep {
namespace {

constexpr double kTheta = 10000;

class ClassUnet : public Denoiser {
 public:
  ClassUnet(const ClassUnetOptions& options, uint64_t seed) : options_(options) {
    const int64_t dim = options.dim;
    const UnetShape shape = class_unet_shape(options);
    const LayerMaker make(
        [this](const std::string& name, at::Tensor initial) { return parameter(name, initial); },
        seed);
    no_class_ = make.normal("null_classes_emb", {dim});
    body_.make_first(make, shape);
    time1_ = Linear(make, "time_mlp.1", dim, 4 * dim);
    time2_ = Linear(make, "time_mlp.3", 4 * dim, 4 * dim);
    classes_ = make.normal("classes_emb.weight", {options.num_classes, dim});
    class1_ = Linear(make, "classes_mlp.0", dim, 4 * dim);
    class2_ = Linear(make, "classes_mlp.2", 4 * dim, 4 * dim);
    body_.make_stages(make, shape);

    facts_.channels = options.channels;
    facts_.out_channels = shape.out_dim;
    facts_.learned_variance = options.learned_variance;
    facts_.dropout = options.dropout;
    facts_.divisor = int64_t{1} << (shape.stage_dims.size() - 1);
    facts_.num_classes = options.num_classes;
    facts_.class_drop = options.cond_drop_prob;
  }

  at::Tensor predict(const DenoiserInput& input) override {
    if (input.x.device() != device()) return predict(input.on(device())).to(input.x.device());
    const at::Tensor time =
        time2_(at::gelu(time1_(sinusoidal_features(input.t, options_.dim, kTheta))));
    const at::Tensor known = at::embedding(classes_, input.classes.clamp_min(0));
    const at::Tensor chosen =
        at::where((input.classes >= 0).unsqueeze(1), known, no_class_.unsqueeze(0));
    const at::Tensor classes = class2_(at::gelu(class1_(chosen)));
    UnetPass pass{map_order(options_.memory_format, device()),
                  Dropout(options_.dropout, input.dropout)};
    return body_(input.x, at::silu(at::cat({time, classes}, 1)), pass).to(at::kFloat);
  }

 private:
  ClassUnetOptions options_;
  UnetBody body_;
  at::Tensor no_class_, classes_;
  Linear time1_, time2_, class1_, class2_;
};

// `change` without its part along `direction`, image by image, in double.
at::Tensor without_parallel(const at::Tensor& change, const at::Tensor& direction, double keep) {
  const at::Tensor x = change.flatten(1).to(at::kDouble), y = direction.flatten(1).to(at::kDouble);
  const at::Tensor unit = y / y.norm(2, 1, true).clamp_min(1e-12);
  const at::Tensor parallel = (x * unit).sum(1, true) * unit;
  return (x - parallel * (1 - keep)).to(change.scalar_type()).reshape(change.sizes());
}

at::Tensor spread(const at::Tensor& x) {
  return x.flatten(1).std(1, /*unbiased=*/true).reshape({-1, 1, 1, 1});
}

}  // namespace

UnetShape class_unet_shape(const ClassUnetOptions& options) {
  const int64_t dim = options.dim;
  if (dim % 2 != 0)
    throw ConfigError(
        fmt::format("task.model.dim is {}, and the time's features need an even number", dim));
  if (options.dim_mults.empty())
    throw ConfigError("task.model.dim_mults is empty", "name at least one stage: [1]");
  if (options.dim_mults.size() > 16)
    throw ConfigError("task.model.dim_mults has more than 16 stages");
  const size_t stages = options.dim_mults.size();
  UnetShape shape;
  shape.input_channels = options.channels;
  shape.init_dim = options.init_dim.value_or(dim);
  shape.out_dim = options.out_dim.value_or(options.channels * (options.learned_variance ? 2 : 1));
  for (const int64_t times : options.dim_mults) shape.stage_dims.push_back(dim * times);
  shape.condition_dim = 8 * dim;  // time and class
  shape.full_attention.assign(stages, false);
  shape.attention.assign(stages, {4, 32, false, "fn.fn.", "fn.norm"});
  shape.middle_attention = {options.attn_heads, options.attn_dim_head, false, "fn.fn.", "fn.norm"};
  shape.strided_down = true;
  return shape;
}

std::unique_ptr<Denoiser> make_class_unet(const ClassUnetOptions& options, uint64_t seed) {
  return std::make_unique<ClassUnet>(options, seed);
}

at::Tensor predict_guided(Denoiser& model, const DenoiserInput& input,
                          const GuidanceOptions& guidance) {
  const at::Tensor with = model.predict(input);
  if (model.facts().num_classes == 0 || guidance.scale == 1) return with;
  DenoiserInput unconditional = input;
  unconditional.classes = at::full_like(input.classes, -1);
  at::Tensor change = with - model.predict(unconditional);
  if (guidance.remove_parallel) change = without_parallel(change, with, guidance.keep_parallel);
  const at::Tensor guided = with + change * (guidance.scale - 1);
  if (guidance.rescale == 0) return guided;
  return guided * (spread(with) / spread(guided)) * guidance.rescale +
         guided * (1 - guidance.rescale);
}

}  // namespace lockstep
