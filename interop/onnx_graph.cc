#include "interop/onnx_graph.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/json_text.h"

namespace lockstep {
namespace {

// Field numbers and enumerations of onnx.proto.
namespace graph_field {
constexpr int kNode = 1, kInput = 11, kOutput = 12;
}
namespace node_field {
constexpr int kInput = 1, kOutput = 2, kName = 3, kOp = 4, kAttribute = 5;
}
namespace attribute_field {
constexpr int kName = 1, kReal = 2, kInteger = 3, kText = 4, kReals = 7, kIntegers = 8, kType = 20;
}
namespace attribute_type {
constexpr int kReal = 1, kInteger = 2, kText = 3, kReals = 6, kIntegers = 7;
}
namespace value_field {
constexpr int kName = 1, kType = 2;
}
constexpr int kTensorType = 1, kElementType = 1, kShape = 2, kDim = 1, kDimValue = 1, kDimName = 2;

ProtoMessage attribute(const std::string& name, const OnnxAttribute& value) {
  ProtoMessage out;
  out.bytes(attribute_field::kName, name);
  int type = 0;
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    out.integer(attribute_field::kInteger, *integer);
    type = attribute_type::kInteger;
  } else if (const auto* real = std::get_if<double>(&value)) {
    out.real(attribute_field::kReal, static_cast<float>(*real));
    type = attribute_type::kReal;
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    out.bytes(attribute_field::kText, *text);
    type = attribute_type::kText;
  } else if (const auto* integers = std::get_if<std::vector<int64_t>>(&value)) {
    for (const int64_t one : *integers) out.integer(attribute_field::kIntegers, one);
    type = attribute_type::kIntegers;
  } else {
    for (const double one : std::get<std::vector<double>>(value))
      out.real(attribute_field::kReals, static_cast<float>(one));
    type = attribute_type::kReals;
  }
  out.integer(attribute_field::kType, type);
  return out;
}

ProtoMessage value_info(const std::string& name, at::ScalarType dtype,
                        const std::vector<OnnxDim>& shape) {
  ProtoMessage dims, tensor, type, out;
  for (const OnnxDim& size : shape) {
    ProtoMessage dim;
    if (const auto* number = std::get_if<int64_t>(&size)) {
      dim.integer(kDimValue, *number);
    } else {
      dim.bytes(kDimName, std::get<std::string>(size));
    }
    dims.message(kDim, dim);
  }
  tensor.integer(kElementType, onnx_dtype(dtype));
  tensor.message(kShape, dims);
  type.message(kTensorType, tensor);
  out.bytes(value_field::kName, name);
  out.message(value_field::kType, type);
  return out;
}

}  // namespace

int onnx_dtype(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return 1;
    case at::kInt:
      return 6;
    case at::kLong:
      return 7;
    case at::kHalf:
      return 10;
    case at::kBFloat16:
      return 16;
    default:
      throw InternalError("no ONNX element type for this tensor");
  }
}

std::string OnnxGraph::fresh(const std::string& hint) {
  const int count = taken_[hint]++;
  return count == 0 ? hint : fmt::format("{}.{}", hint, count);
}

std::string OnnxGraph::input(const std::string& name, at::ScalarType dtype,
                             const std::vector<OnnxDim>& shape) {
  inputs_.message(graph_field::kInput, value_info(fresh(name), dtype, shape));
  return name;
}

void OnnxGraph::output(const std::string& name, at::ScalarType dtype,
                       const std::vector<OnnxDim>& shape) {
  outputs_.message(graph_field::kOutput, value_info(name, dtype, shape));
}

std::string OnnxGraph::tensor(const std::string& name, const at::Tensor& value) {
  if (find_tensor(tensors_, name) == nullptr) {
    taken_[name]++;
    tensors_.push_back({name, value.detach().contiguous()});
  }
  return name;
}

std::string OnnxGraph::constant(double value) {
  return tensor("constant." + format_double(value), at::scalar_tensor(value, at::kFloat));
}

std::string OnnxGraph::constant(const std::vector<int64_t>& values) {
  std::string name = "constant.integers";
  for (const int64_t value : values) name += fmt::format(".{}", value);
  return tensor(name, at::tensor(values, at::kLong));
}

std::string OnnxGraph::node(const std::string& op, const std::vector<std::string>& inputs,
                            const OnnxAttributes& attributes, const std::string& name) {
  const std::string result = fresh(name.empty() ? prefix_ + "/" + op : name);
  ProtoMessage node;
  for (const std::string& one : inputs) node.bytes(node_field::kInput, one);
  node.bytes(node_field::kOutput, result);
  node.bytes(node_field::kName, result);
  node.bytes(node_field::kOp, op);
  for (const auto& [key, value] : attributes)
    node.message(node_field::kAttribute, attribute(key, value));
  nodes_.message(graph_field::kNode, node);
  ++num_nodes_;
  return result;
}

std::vector<std::string> OnnxGraph::nodes(const std::string& op,
                                          const std::vector<std::string>& inputs, size_t results,
                                          const OnnxAttributes& attributes) {
  ProtoMessage node;
  std::vector<std::string> out;
  for (const std::string& one : inputs) node.bytes(node_field::kInput, one);
  for (size_t i = 0; i < results; ++i) {
    out.push_back(fresh(prefix_ + "/" + op));
    node.bytes(node_field::kOutput, out.back());
  }
  node.bytes(node_field::kName, out.front());
  node.bytes(node_field::kOp, op);
  for (const auto& [key, value] : attributes)
    node.message(node_field::kAttribute, attribute(key, value));
  nodes_.message(graph_field::kNode, node);
  ++num_nodes_;
  return out;
}

}  // namespace lockstep
