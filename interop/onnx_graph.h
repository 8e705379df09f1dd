// An ONNX graph: built node by node, written as a .onnx file.
//
// Fields and their numbers: onnx.proto of github.com/onnx/onnx, IR version 8, operators of opset 17
// (the oldest in wide use that has all that is needed here, read by onnxruntime from 1.12 and
// TensorRT from 8.5).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/protobuf.h"
#include "tensor/named.h"

namespace lockstep {

// The number of an element type in onnx.proto. Throws InternalError for one that is not used here.
int onnx_dtype(at::ScalarType dtype);

// A dimension: a number, or a name for one that is only known when the graph runs.
using OnnxDim = std::variant<int64_t, std::string>;

using OnnxAttribute =
    std::variant<int64_t, double, std::string, std::vector<int64_t>, std::vector<double>>;
using OnnxAttributes = std::vector<std::pair<std::string, OnnxAttribute>>;

struct OnnxFileOptions {
  std::map<std::string, std::string> metadata;
  // Large tensors go into FILE.data beside the file. Always so for files that would pass 2 GB, the
  // limit of a protobuf message.
  bool external_data = false;
};

class OnnxGraph {
 public:
  explicit OnnxGraph(std::string name) : name_(std::move(name)) {}

  // All return the name of a value. float32 and int64 are the types of inputs and outputs.
  std::string input(const std::string& name, at::ScalarType dtype,
                    const std::vector<OnnxDim>& shape);
  void output(const std::string& name, at::ScalarType dtype, const std::vector<OnnxDim>& shape);
  // A constant under its name; the same name again gives the first one.
  std::string tensor(const std::string& name, const at::Tensor& value);
  // Constants without a name of their own: equal ones are there once.
  std::string constant(double value);                        // f32 scalar
  std::string constant(const std::vector<int64_t>& values);  // i64 [n]
  std::string node(const std::string& op, const std::vector<std::string>& inputs,
                   const OnnxAttributes& attributes = {}, const std::string& name = "");
  // A node with several results.
  std::vector<std::string> nodes(const std::string& op, const std::vector<std::string>& inputs,
                                 size_t results, const OnnxAttributes& attributes = {});
  // Names nodes from here on PREFIX/OP, as their layer.
  void enter(const std::string& prefix) { prefix_ = prefix; }

  size_t num_nodes() const { return num_nodes_; }
  // Writes the file, and FILE.data if need be; each appears whole or not at all. Throws
  // EnvironmentError.
  void write(const std::filesystem::path& path, const OnnxFileOptions& options) const;

 private:
  std::string fresh(const std::string& hint);
  std::string name_, prefix_;
  ProtoMessage nodes_, inputs_, outputs_;  // fields of GraphProto
  NamedTensors tensors_;
  std::map<std::string, int> taken_;  // names of values
  size_t num_nodes_ = 0;
};

}  // namespace lockstep
