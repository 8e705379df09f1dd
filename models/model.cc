#include "models/model.h"

#include <set>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {

at::Tensor Model::parameter(const std::string& name, at::Tensor initial) {
  if (find_tensor(parameters_, name) != nullptr)
    throw InternalError("parameter '" + name + "' is defined twice");
  at::Tensor leaf = initial.detach().contiguous();
  leaf.set_requires_grad(true);
  parameters_.push_back({name, leaf});
  return leaf;
}

at::Tensor Model::buffer(const std::string& name, at::Tensor value) {
  buffers_.push_back({name, value});
  return value;
}

at::Tensor Model::constant(at::Tensor value) {
  constants_.push_back(value);
  return value;
}

at::Device Model::device() const {
  if (!parameters_.empty()) return parameters_.front().tensor.device();
  return constants_.empty() ? at::Device(at::kCPU) : constants_.front().device();
}

void Model::to(at::Device device) {
  const at::NoGradGuard no_grad;
  const auto move = [&](at::Tensor tensor) { tensor.set_data(tensor.detach().to(device)); };
  for (const NamedTensor& entry : parameters_) move(entry.tensor);
  for (const NamedTensor& entry : buffers_) move(entry.tensor);
  for (const at::Tensor& tensor : constants_) move(tensor);
}

void Model::alias_parameters(const std::vector<at::Tensor>& storage) {
  if (storage.size() != parameters_.size())
    throw InternalError("alias_parameters: wrong number of tensors");
  for (size_t i = 0; i < storage.size(); ++i) {
    at::Tensor& leaf = parameters_[i].tensor;
    if (storage[i].sizes() != leaf.sizes() || !storage[i].is_floating_point())
      throw InternalError("alias_parameters: '" + parameters_[i].name +
                          "' has another shape, or no floating point");
    leaf.set_data(
        storage[i].detach());  // the leaf stays the same object: members keep pointing to it
  }
}

void Model::load(const NamedTensors& weights, const std::string& from) {
  std::vector<std::string> missing, unknown, differing;
  std::set<std::string> known;
  NamedTensors targets = parameters_;
  targets.insert(targets.end(), buffers_.begin(), buffers_.end());
  for (const NamedTensor& target : targets) {
    known.insert(target.name);
    const at::Tensor* value = find_tensor(weights, target.name);
    if (value == nullptr) {
      missing.push_back(target.name);
    } else if (value->scalar_type() != target.tensor.scalar_type()) {
      differing.push_back(fmt::format("{} is {} and should be {}", target.name,
                                      c10::toString(value->scalar_type()),
                                      c10::toString(target.tensor.scalar_type())));
    } else if (value->sizes() != target.tensor.sizes()) {
      differing.push_back(fmt::format("{} is {} and should be {}", target.name,
                                      c10::str(value->sizes()), c10::str(target.tensor.sizes())));
    }
  }
  for (const NamedTensor& value : weights)
    if (!known.contains(value.name)) unknown.push_back(value.name);
  if (missing.empty() && unknown.empty() && differing.empty()) {
    const at::NoGradGuard no_grad;
    for (NamedTensor& target : targets) target.tensor.copy_(*find_tensor(weights, target.name));
    return;
  }
  auto list = [](const char* what, const std::vector<std::string>& names) {
    if (names.empty()) return std::string();
    std::string text = std::string("; ") + what + ": ";
    for (size_t i = 0; i < names.size() && i < 8; ++i) text += (i > 0 ? ", " : "") + names[i];
    return text + (names.size() > 8 ? fmt::format(" and {} more", names.size() - 8) : "");
  };
  throw DataError("the weights do not fit the model" + list("missing", missing) +
                      list("unknown", unknown) + list("other dtype or shape", differing),
                  "the model's options must be those the weights were trained with",
                  {from, 0, 0, ""});
}

}  // namespace lockstep
