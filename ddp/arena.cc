#include "ddp/arena.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <set>

#include "core/errors.h"

namespace lockstep {

ArenaLayout ArenaLayout::of(const NamedTensors& parameters) {
  ArenaLayout layout;
  std::set<std::string> names;
  for (const NamedTensor& parameter : parameters) {
    if (parameter.tensor.scalar_type() != at::kFloat)
      throw ConfigError(
          fmt::format("parameter '{}' is {}, not float32", parameter.name,
                      at::toString(parameter.tensor.scalar_type())),
          "keep parameters in float32; `precision.compute` chooses what the layers compute in");
    if (!names.insert(parameter.name).second)
      throw ConfigError(fmt::format("two parameters are called '{}'", parameter.name),
                        "give each its own name");
    layout.entries.push_back(
        {parameter.name, parameter.tensor.sizes().vec(), layout.size, parameter.tensor.numel()});
    layout.size +=
        (parameter.tensor.numel() + kAlignElements - 1) / kAlignElements * kAlignElements;
  }
  return layout;
}

// LibTorch's CPU allocator aligns to 64 bytes, that of CUDA to 512.
Arena::Arena(const ArenaLayout& layout, at::Device device)
    : layout_(&layout),
      flat_(at::zeros({layout.size}, at::TensorOptions().dtype(at::kFloat).device(device))) {
  for (const ArenaEntry& entry : layout.entries)
    views_.push_back(flat_.narrow(0, entry.offset, entry.count).view(entry.shape));
}

NamedTensors Arena::named(const std::string& prefix) const {
  NamedTensors result;
  for (size_t i = 0; i < views_.size(); ++i)
    result.push_back({prefix + layout_->entries[i].name, views_[i]});
  return result;
}

std::vector<at::Tensor> find_parameters(const ArenaLayout& layout, const NamedTensors& values,
                                        const std::string& prefix, const std::string& from) {
  std::vector<at::Tensor> result;
  for (const ArenaEntry& entry : layout.entries) {
    const std::string name = prefix + entry.name;
    const at::Tensor* value = find_tensor(values, name);
    if (value == nullptr) throw CheckpointError(fmt::format("{} has no tensor '{}'", from, name));
    if (value->scalar_type() != at::kFloat || value->sizes() != at::IntArrayRef(entry.shape))
      throw CheckpointError(fmt::format("tensor '{}' of {} is {} {}, not {} {}", name, from,
                                        at::toString(value->scalar_type()),
                                        fmt::join(value->sizes().vec(), "x"),
                                        at::toString(at::kFloat), fmt::join(entry.shape, "x")));
    result.push_back(*value);
  }
  size_t with_prefix = 0;
  for (const NamedTensor& value : values) with_prefix += value.name.starts_with(prefix);
  if (with_prefix == result.size()) return result;
  for (const NamedTensor& value : values) {
    const bool known =
        std::any_of(layout.entries.begin(), layout.entries.end(),
                    [&](const ArenaEntry& entry) { return prefix + entry.name == value.name; });
    if (value.name.starts_with(prefix) && !known)
      throw CheckpointError(
          fmt::format("{} has a tensor '{}' that this model lacks", from, value.name));
  }
  throw CheckpointError(fmt::format("{} holds a tensor twice", from));
}

void Arena::load(const NamedTensors& values, const std::string& prefix, const std::string& from) {
  at::NoGradGuard no_grad;
  const std::vector<at::Tensor> found = find_parameters(*layout_, values, prefix, from);
  for (size_t i = 0; i < views_.size(); ++i) views_[i].copy_(found[i]);
}

}  // namespace lockstep
