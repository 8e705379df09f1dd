#include "interop/onnx_layers.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/errors.h"

namespace lockstep {
namespace {

using Integers = std::vector<int64_t>;

constexpr double kSmallestLength = 1e-12;  // of kernels/norms/channel_norm.h

}  // namespace

const at::Tensor& OnnxLayers::value(const std::string& name) const {
  const at::Tensor* found = find_tensor(weights_, name);
  if (found == nullptr) throw InternalError("the network has no tensor '" + name + "'");
  return *found;
}

std::string OnnxLayers::weight(const std::string& name) { return graph_.tensor(name, value(name)); }

std::string OnnxLayers::reshape(const std::string& x, const Integers& shape) {
  return graph_.node("Reshape", {x, graph_.constant(shape)});
}

std::string OnnxLayers::transpose(const std::string& x, const Integers& order) {
  return graph_.node("Transpose", {x}, {{"perm", order}});
}

OnnxMap OnnxLayers::convolution(const OnnxMap& x, const std::string& name, int64_t stride) {
  graph_.enter(name);
  const at::Tensor& kernel = value(name + ".weight");
  const int64_t width = kernel.size(2), padding = (width - 1) / 2;
  std::vector<std::string> inputs = {x.name, weight(name + ".weight")};
  if (find_tensor(weights_, name + ".bias") != nullptr) inputs.push_back(weight(name + ".bias"));
  const std::string y = graph_.node("Conv", inputs,
                                    {{"kernel_shape", Integers{width, width}},
                                     {"pads", Integers(4, padding)},
                                     {"strides", Integers{stride, stride}}});
  return {y, kernel.size(0), x.size / stride};
}

OnnxMap OnnxLayers::space_to_depth(const OnnxMap& x, const std::string& name) {
  graph_.enter(name);
  // [O, C·4, 1, 1] with (channel, row, column) inside is [O, C, 2, 2].
  const at::Tensor& kernel = value(name + ".weight");
  const std::string folded =
      graph_.tensor(name + ".weight", kernel.reshape({kernel.size(0), x.channels, 2, 2}));
  const std::string y =
      graph_.node("Conv", {x.name, folded, weight(name + ".bias")},
                  {{"kernel_shape", Integers{2, 2}}, {"strides", Integers{2, 2}}});
  return {y, kernel.size(0), x.size / 2};
}

OnnxMap OnnxLayers::upsampled(const OnnxMap& x) {
  const std::string scales = graph_.tensor("constant.twice", at::tensor({1.0f, 1.0f, 2.0f, 2.0f}));
  const std::string y = graph_.node("Resize", {x.name, "", scales},
                                    {{"mode", std::string("nearest")},
                                     {"coordinate_transformation_mode", std::string("asymmetric")},
                                     {"nearest_mode", std::string("floor")}});
  return {y, x.channels, 2 * x.size};
}

OnnxMap OnnxLayers::together(const OnnxMap& x, const OnnxMap& y) {
  return {graph_.node("Concat", {x.name, y.name}, {{"axis", int64_t{1}}}), x.channels + y.channels,
          x.size};
}

std::string OnnxLayers::linear(const std::string& x, const std::string& name) {
  graph_.enter(name);
  return graph_.node("Gemm", {x, weight(name + ".weight"), weight(name + ".bias")},
                     {{"transB", int64_t{1}}});
}

std::string OnnxLayers::silu(const std::string& x) {
  return multiply(x, graph_.node("Sigmoid", {x}));
}

std::string OnnxLayers::gelu(const std::string& x) {
  const std::string half = multiply(x, graph_.constant(0.5));
  const std::string erf = graph_.node("Erf", {multiply(x, graph_.constant(std::sqrt(0.5)))});
  return multiply(half, add(erf, graph_.constant(1.0)));
}

OnnxMap OnnxLayers::norm(const OnnxMap& x, const std::string& name) {
  graph_.enter(name);
  const std::string length =
      graph_.node("ReduceL2", {x.name}, {{"axes", Integers{1}}, {"keepdims", int64_t{1}}});
  const std::string unit =
      graph_.node("Div", {x.name, graph_.node("Max", {length, graph_.constant(kSmallestLength)})});
  const std::string scaled = multiply(multiply(unit, weight(name + ".g")),
                                      graph_.constant(std::sqrt(static_cast<double>(x.channels))));
  return {scaled, x.channels, x.size};
}

OnnxMap OnnxLayers::block(const OnnxMap& x, const std::string& name, const std::string& condition) {
  const std::string both = linear(condition, name + ".mlp.1");
  OnnxMap h = norm(convolution(x, name + ".block1.proj"), name + ".block1.norm");
  const std::vector<std::string> halves = graph_.nodes("Split", {both}, 2, {{"axis", int64_t{1}}});
  const std::string scale = reshape(halves[0], {0, h.channels, 1, 1}),
                    shift = reshape(halves[1], {0, h.channels, 1, 1});
  h.name = silu(add(multiply(h.name, add(scale, graph_.constant(1.0))), shift));
  h = norm(convolution(h, name + ".block2.proj"), name + ".block2.norm");
  h.name = silu(h.name);
  const bool resized = find_tensor(weights_, name + ".res_conv.weight") != nullptr;
  h.name = add(h.name, resized ? convolution(x, name + ".res_conv").name : x.name);
  return h;
}

OnnxMap OnnxLayers::attention(const OnnxMap& x, const std::string& name, bool full,
                              const AttentionShape& shape) {
  const std::string inner = name + "." + shape.inner;
  const std::string memory_name = shape.memory ? inner + "mem_kv" : "";
  const OnnxMap qkv = convolution(norm(x, name + "." + shape.norm), inner + "to_qkv");
  graph_.enter(name);
  OnnxMap y;
  if (full) {
    y = convolution(attend_full(qkv, memory_name, shape), inner + "to_out");
  } else {
    y = norm(convolution(attend_linear(qkv, memory_name, shape), inner + "to_out.0"),
             inner + "to_out.1");
  }
  return {add(y.name, x.name), x.channels, x.size};
}

std::string OnnxLayers::memory(const std::string& name, int64_t part) {
  const at::Tensor one = value(name)[part].unsqueeze(0);
  const std::string constant = graph_.tensor(name + (part == 0 ? ".key" : ".value"), one);
  const std::string shape =
      graph_.node("Concat", {batch_, graph_.constant({one.size(1), one.size(2), one.size(3)})},
                  {{"axis", int64_t{0}}});
  return graph_.node("Expand", {constant, shape});
}

OnnxMap OnnxLayers::attend_full(const OnnxMap& qkv, const std::string& memory_name,
                                const AttentionShape& shape) {
  const int64_t positions = qkv.size * qkv.size, hidden = shape.heads * shape.dim_head;
  const std::vector<std::string> parts =
      graph_.nodes("Split", {qkv.name}, 3, {{"axis", int64_t{1}}});
  const auto heads = [&](const std::string& part) {  // [B, h, N, d]
    return transpose(reshape(part, {0, shape.heads, shape.dim_head, positions}), {0, 1, 3, 2});
  };
  const std::string q = multiply(
      heads(parts[0]), graph_.constant(1 / std::sqrt(static_cast<double>(shape.dim_head))));
  std::string k = heads(parts[1]), v = heads(parts[2]);
  if (!memory_name.empty()) {
    k = graph_.node("Concat", {memory(memory_name, 0), k}, {{"axis", int64_t{2}}});
    v = graph_.node("Concat", {memory(memory_name, 1), v}, {{"axis", int64_t{2}}});
  }
  const std::string scores = graph_.node("MatMul", {q, transpose(k, {0, 1, 3, 2})});
  const std::string seen =
      graph_.node("MatMul", {graph_.node("Softmax", {scores}, {{"axis", int64_t{-1}}}), v});
  return {reshape(transpose(seen, {0, 1, 3, 2}), {0, hidden, qkv.size, qkv.size}), hidden,
          qkv.size};
}

OnnxMap OnnxLayers::attend_linear(const OnnxMap& qkv, const std::string& memory_name,
                                  const AttentionShape& shape) {
  const int64_t positions = qkv.size * qkv.size, hidden = shape.heads * shape.dim_head;
  const std::vector<std::string> parts =
      graph_.nodes("Split", {qkv.name}, 3, {{"axis", int64_t{1}}});
  const auto heads = [&](const std::string& part) {
    return reshape(part, {0, shape.heads, shape.dim_head, positions});
  };
  std::string k = heads(parts[1]), v = heads(parts[2]);  // [B, h, d, N]
  if (!memory_name.empty()) {
    k = graph_.node("Concat", {memory(memory_name, 0), k}, {{"axis", int64_t{3}}});
    v = graph_.node("Concat", {memory(memory_name, 1), v}, {{"axis", int64_t{3}}});
  }
  const std::string q =
      multiply(graph_.node("Softmax", {heads(parts[0])}, {{"axis", int64_t{-2}}}),
               graph_.constant(1 / std::sqrt(static_cast<double>(shape.dim_head))));
  k = graph_.node("Softmax", {k}, {{"axis", int64_t{-1}}});
  const std::string context = graph_.node("MatMul", {k, transpose(v, {0, 1, 3, 2})});
  const std::string seen = graph_.node("MatMul", {transpose(context, {0, 1, 3, 2}), q});
  return {reshape(seen, {0, hidden, qkv.size, qkv.size}), hidden, qkv.size};
}

std::string OnnxLayers::sinusoidal(const std::string& t, int64_t dim, double theta) {
  graph_.enter("time");
  const std::string frequencies =
      graph_.tensor("constant.frequencies", sinusoidal_frequencies(dim, theta));
  const std::string angles = multiply(column(t), frequencies);
  return graph_.node("Concat", {graph_.node("Sin", {angles}), graph_.node("Cos", {angles})},
                     {{"axis", int64_t{1}}});
}

std::string OnnxLayers::fourier(const std::string& t, const std::string& weights) {
  graph_.enter("time");
  const std::string x = column(t);
  const std::string angles =
      multiply(multiply(multiply(x, weight(weights)), graph_.constant(2.0)), graph_.constant(M_PI));
  return graph_.node("Concat", {x, graph_.node("Sin", {angles}), graph_.node("Cos", {angles})},
                     {{"axis", int64_t{1}}});
}

}  // namespace lockstep
