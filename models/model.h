// A network: named parameters, and nothing about data, loss or optimizer.
//
// Networks here are plain classes over at::Tensor instead of torch::nn modules: headers stay
// light, names are exactly those of the checkpoint, and a replica for another slot thread is the
// same class whose parameters alias the first one's storage.
#pragma once

#include <string>
#include <vector>

#include "tensor/named.h"

namespace lockstep {

class Model {
 public:
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // Leaf tensors that require grad, in registration order; names as in model.safetensors.
  const NamedTensors& parameters() const { return parameters_; }
  // Constants that are saved with the weights but not trained (usually none).
  const NamedTensors& buffers() const { return buffers_; }

  // Makes parameter i use `storage[i]` (same shape) as its memory: how replicas share weights and
  // how weights come to lie in an arena. Values and dtype are those of `storage`: under
  // `precision.compute: bf16_weights` the parameters become bfloat16.
  void alias_parameters(const std::vector<at::Tensor>& storage);
  // Where the network computes: where its parameters lie. It answers where its inputs lie.
  at::Device device() const;
  // Moves parameters, buffers and constants; the tensors that members hold follow.
  void to(at::Device device);
  // Copies values by name. Strict: every parameter and buffer present, nothing else, same shapes;
  // otherwise DataError listing what is missing, unknown or differs. `from` names the file.
  void load(const NamedTensors& weights, const std::string& from);

 protected:
  Model() = default;
  // Registers `initial` (float32) and returns the leaf to keep as a member.
  at::Tensor parameter(const std::string& name, at::Tensor initial);
  at::Tensor buffer(const std::string& name, at::Tensor value);
  // A constant that follows the network to a device and is not saved.
  at::Tensor constant(at::Tensor value);

 private:
  NamedTensors parameters_, buffers_;
  std::vector<at::Tensor> constants_;
};

}  // namespace lockstep
