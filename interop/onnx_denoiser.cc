#include "interop/onnx_denoiser.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "interop/onnx_layers.h"
#include "models/unet/unet.h"

namespace lockstep {
namespace {

constexpr double kClassTheta = 10000;

// The trunk: models/unet/unet_body.h.
std::string body(OnnxLayers& layers, const UnetShape& shape, const OnnxMap& input,
                 const std::string& condition) {
  const auto stages = static_cast<int64_t>(shape.stage_dims.size());
  OnnxMap x = layers.convolution(input, "init_conv");
  const OnnxMap first = x;
  std::vector<OnnxMap> kept;
  for (int64_t i = 0; i < stages; ++i) {
    const std::string name = fmt::format("downs.{}.", i);
    kept.push_back(x = layers.block(x, name + "0", condition));
    x = layers.block(x, name + "1", condition);
    kept.push_back(
        x = layers.attention(x, name + "2", shape.full_attention[i], shape.attention[i]));
    if (i + 1 == stages) {
      x = layers.convolution(x, name + "3");
    } else {
      x = shape.strided_down ? layers.convolution(x, name + "3", 2)
                             : layers.space_to_depth(x, name + "3.1");
    }
  }
  x = layers.block(x, "mid_block1", condition);
  x = layers.attention(x, "mid_attn", /*full=*/true, shape.middle_attention);
  x = layers.block(x, "mid_block2", condition);
  const auto with_kept = [&] {
    const OnnxMap both = layers.together(x, kept.back());
    kept.pop_back();
    return both;
  };
  for (int64_t i = stages - 1; i >= 0; --i) {
    const std::string name = fmt::format("ups.{}.", stages - 1 - i);
    x = layers.block(with_kept(), name + "0", condition);
    x = layers.block(with_kept(), name + "1", condition);
    x = layers.attention(x, name + "2", shape.full_attention[i], shape.attention[i]);
    x = i > 0 ? layers.convolution(layers.upsampled(x), name + "3.1")
              : layers.convolution(x, name + "3");
  }
  x = layers.block(layers.together(x, first), "final_res_block", condition);
  return layers.convolution(x, "final_conv").name;
}

struct Inputs {
  DenoiserGraph& out;
  int64_t channels, size;
  std::string picture(const std::string& name) {
    return add(name, at::kFloat, {-1, channels, size, size});
  }
  std::string add(const std::string& name, at::ScalarType dtype,
                  const std::vector<int64_t>& shape) {
    std::vector<OnnxDim> dims;
    for (const int64_t one : shape) dims.push_back(one < 0 ? OnnxDim("batch") : OnnxDim(one));
    out.inputs.push_back({name, shape});
    return out.graph.input(name, dtype, dims);
  }
};

void check_size(const UnetShape& shape, int64_t size) {
  const int64_t divisor = int64_t{1} << (shape.stage_dims.size() - 1);
  if (size % divisor != 0)
    throw ConfigError(fmt::format("task.image_size is {}, and the network halves it so often that "
                                  "it must be a multiple of {}",
                                  size, divisor),
                      "give another size: task.image_size=64");
}

// i64 [1]: the rows of x.
std::string rows_of(OnnxGraph& graph, const std::string& x) {
  graph.enter("batch");
  return graph.node("Shape", {x}, {{"start", int64_t{0}}, {"end", int64_t{1}}});
}

std::string time_condition(OnnxLayers& layers, const std::string& features) {
  return layers.linear(layers.gelu(layers.linear(features, "time_mlp.1")), "time_mlp.3");
}

std::string to_float(OnnxGraph& graph, const std::string& t) {
  graph.enter("time");
  return graph.node("Cast", {t}, {{"to", int64_t{onnx_dtype(at::kFloat)}}});
}

// The result under its public name.
void finish(DenoiserGraph& out, const std::string& value, int64_t channels, int64_t size) {
  out.graph.enter("");
  out.graph.node("Identity", {value}, {}, "prediction");
  out.graph.output("prediction", at::kFloat, {OnnxDim("batch"), channels, size, size});
}

void write_unet(DenoiserGraph& out, const UnetOptions& options, int64_t size,
                const NamedTensors& weights) {
  const UnetShape shape = unet_shape(options);
  check_size(shape, size);
  OnnxGraph& graph = out.graph;
  Inputs inputs{out, options.channels, size};
  std::string x = inputs.picture("x");
  const std::string t = to_float(graph, inputs.add("t", at::kLong, {-1}));
  OnnxLayers layers(graph, weights, rows_of(graph, x));
  if (options.self_condition)
    x = graph.node("Concat", {inputs.picture("x_self_cond"), x}, {{"axis", int64_t{1}}});
  const std::string features =
      has_fourier_time(options)
          ? layers.fourier(t, "time_mlp.0.weights")
          : layers.sinusoidal(t, options.dim, options.sinusoidal_pos_emb_theta);
  const std::string condition = layers.silu(time_condition(layers, features));
  finish(out, body(layers, shape, {x, shape.input_channels, size}, condition), shape.out_dim, size);
}

std::string class_condition(OnnxLayers& layers, const std::string& classes) {
  OnnxGraph& graph = layers.graph();
  graph.enter("classes");
  const std::string zero = graph.constant(std::vector<int64_t>{0});
  const std::string known = graph.node(
      "Gather", {layers.weight("classes_emb.weight"), graph.node("Max", {classes, zero})});
  const std::string is_known = graph.node("GreaterOrEqual", {classes, zero});
  const std::string mask =
      graph.node("Unsqueeze", {is_known, graph.constant(std::vector<int64_t>{1})});
  const std::string chosen = graph.node("Where", {mask, known, layers.weight("null_classes_emb")});
  return layers.linear(layers.gelu(layers.linear(chosen, "classes_mlp.0")), "classes_mlp.2");
}

// Sum over channels, rows and columns, kept as dimensions of 1.
std::string sum_of(OnnxGraph& graph, const std::string& x) {
  return graph.node("ReduceSum", {x, graph.constant(std::vector<int64_t>{1, 2, 3})},
                    {{"keepdims", int64_t{1}}});
}

// The standard deviation (over n−1) of each picture of n numbers.
std::string spread_of(OnnxGraph& graph, const std::string& x, int64_t n) {
  const std::string mean =
      graph.node("Div", {sum_of(graph, x), graph.constant(static_cast<double>(n))});
  const std::string away = graph.node("Sub", {x, mean});
  const std::string squares = sum_of(graph, graph.node("Mul", {away, away}));
  return graph.node("Sqrt",
                    {graph.node("Div", {squares, graph.constant(static_cast<double>(n - 1))})});
}

// predict_guided of models/unet/class_unet.h, in float32.
std::string guided(OnnxGraph& graph, const std::string& both, const std::string& scale,
                   const GuidanceOptions& options, int64_t n) {
  graph.enter("guidance");
  const auto op = [&](const char* name, const std::string& x, const std::string& y) {
    return graph.node(name, {x, y});
  };
  const std::vector<std::string> halves = graph.nodes("Split", {both}, 2, {{"axis", int64_t{0}}});
  const std::string& with = halves[0];
  std::string change = op("Sub", with, halves[1]);
  if (options.remove_parallel) {
    const std::string length = graph.node("Sqrt", {sum_of(graph, op("Mul", with, with))});
    const std::string unit = op("Div", with, op("Max", length, graph.constant(1e-12)));
    const std::string parallel = op("Mul", sum_of(graph, op("Mul", change, unit)), unit);
    change = op("Sub", change, op("Mul", parallel, graph.constant(1 - options.keep_parallel)));
  }
  const std::string more = op("Sub", scale, graph.constant(1.0));
  const std::string out = op("Add", with, op("Mul", change, more));
  if (options.rescale == 0) return out;
  const std::string ratio = op("Div", spread_of(graph, with, n), spread_of(graph, out, n));
  const std::string back = op("Mul", op("Mul", out, ratio), graph.constant(options.rescale));
  const std::string rescaled = op("Add", back, op("Mul", out, graph.constant(1 - options.rescale)));
  // A scale of 1 is the prediction with its class, as it is.
  const std::string is_one = op("Equal", scale, graph.constant(1.0));
  return graph.node("Where", {is_one, with, rescaled});
}

void write_class_unet(DenoiserGraph& out, const ImageDiffusionOptions& images,
                      const NamedTensors& weights, bool guidance) {
  const auto& options = images.model.as<ClassUnetOptions>();
  const UnetShape shape = class_unet_shape(options);
  const int64_t size = images.image_size;
  check_size(shape, size);
  OnnxGraph& graph = out.graph;
  Inputs inputs{out, options.channels, size};
  std::string x = inputs.picture("x"), t = inputs.add("t", at::kLong, {-1});
  std::string classes = inputs.add("classes", at::kLong, {-1}), scale;
  const auto twice = [&](const std::string& first, const std::string& second) {
    return graph.node("Concat", {first, second}, {{"axis", int64_t{0}}});
  };
  if (guidance) {
    scale = inputs.add("guidance_scale", at::kFloat, {});
    graph.enter("guidance");
    const std::string none =
        graph.node("Expand", {graph.constant(std::vector<int64_t>{-1}), rows_of(graph, x)});
    x = twice(x, x);
    t = twice(t, t);
    classes = twice(classes, none);
  }
  OnnxLayers layers(graph, weights, rows_of(graph, x));
  const std::string time =
      time_condition(layers, layers.sinusoidal(to_float(graph, t), options.dim, kClassTheta));
  const std::string both =
      graph.node("Concat", {time, class_condition(layers, classes)}, {{"axis", int64_t{1}}});
  std::string prediction = body(layers, shape, {x, shape.input_channels, size}, layers.silu(both));
  if (guidance)
    prediction = guided(graph, prediction, scale, images.guidance, shape.out_dim * size * size);
  finish(out, prediction, shape.out_dim, size);
}

}  // namespace

std::string onnx_models() { return "unet, class_unet"; }

DenoiserGraph denoiser_graph(const ImageDiffusionOptions& options, const NamedTensors& weights,
                             bool guidance) {
  DenoiserGraph out{OnnxGraph(options.model.kind), {}};
  if (guidance && options.model.kind != "class_unet")
    throw ConfigError(
        "--guidance is for networks with classes, and task.model is " + options.model.kind,
        "leave it out; task.model.kind=class_unet has classes");
  if (options.model.kind == "unet") {
    write_unet(out, options.model.as<UnetOptions>(), options.image_size, weights);
  } else if (options.model.kind == "class_unet") {
    write_class_unet(out, options, weights, guidance);
  } else {
    throw ConfigError(
        "ONNX export knows the models " + onnx_models() + ", not " + options.model.kind,
        "--format safetensors works for every model");
  }
  return out;
}

}  // namespace lockstep
