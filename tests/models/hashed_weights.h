// Weights that golden/make_unet.py computes as well, so that no file holds them.
#pragma once

#include <cmath>
#include <map>
#include <string>

#include <ATen/ATen.h>

#include "models/model.h"

namespace lockstep::testing {

// Numbers in [-1, 1) from MurmurHash3's finalizer, float64 [count].
inline at::Tensor hashed(int64_t place, int64_t count) {
  at::Tensor out = at::empty({count}, at::kDouble);
  for (int64_t i = 0; i < count; ++i) {
    auto h = static_cast<uint32_t>(i + place * 1000003 + 12345);
    h = (h ^ (h >> 16)) * 0x85EBCA6Bu;
    h = (h ^ (h >> 13)) * 0xC2B2AE35u;
    h ^= h >> 16;
    out.mutable_data_ptr<double>()[i] = h / 2147483648.0 - 1;
  }
  return out;
}

// Fills each tensor by its place in upstream's state dict, which the golden file has as first
// number of CASE.gradient.NAME.
inline void fill_hashed(Model& model, const NamedTensors& golden, const std::string& name) {
  const at::NoGradGuard no_grad;
  NamedTensors all = model.parameters();
  all.insert(all.end(), model.buffers().begin(), model.buffers().end());
  for (NamedTensor& entry : all) {
    const at::Tensor* known = find_tensor(golden, name + ".gradient." + entry.name);
    if (known == nullptr) throw std::runtime_error("upstream has no tensor " + entry.name);
    at::Tensor values =
        hashed(static_cast<int64_t>(known->const_data_ptr<double>()[0]), entry.tensor.numel());
    if (entry.name.ends_with(".g"))
      values = 1 + 0.3 * values;
    else if (entry.name.ends_with("weight"))
      values = values *
               std::sqrt(3.0 / static_cast<double>(entry.tensor.numel() / entry.tensor.size(0)));
    entry.tensor.copy_(values.reshape(entry.tensor.sizes()));
  }
}

}  // namespace lockstep::testing
