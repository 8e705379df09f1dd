// Weights of Inception by formula: tests/eval/golden/make_fid.py has the same in Python.
#pragma once

#include <cmath>
#include <filesystem>
#include <string>

#include <ATen/ATen.h>

#include "models/inception/inception.h"
#include "tensor/safetensors.h"

namespace lockstep {

// `count` numbers in [0, 1): a mixed counter.
inline at::Tensor hashed_numbers(uint32_t seed, int64_t count) {
  at::Tensor out = at::empty({count}, at::kDouble);
  auto* to = out.mutable_data_ptr<double>();
  for (int64_t i = 0; i < count; ++i) {
    uint32_t x = (static_cast<uint32_t>(i) + seed * 1000003u) * 2654435761u;
    x ^= x >> 16;
    x *= 0x85EBCA6Bu;
    x ^= x >> 13;
    x *= 0xC2B2AE35u;
    x ^= x >> 16;
    to[i] = x * 0x1p-32;
  }
  return out;
}

// The tensors that `dimensions` features need, by pytorch-fid's names.
inline NamedTensors inception_weights(int64_t dimensions) {
  NamedTensors tensors;
  uint32_t number = 0;
  for (const Inception::Layer& layer : Inception::layers(dimensions)) {
    const int64_t inputs = layer.in * layer.kernel_y * layer.kernel_x;
    const at::Tensor kernel = (hashed_numbers(++number, layer.out * inputs) * 2 - 1) *
                              std::sqrt(6.0 / static_cast<double>(inputs));
    tensors.push_back(
        {layer.name + ".conv.weight",
         kernel.to(at::kFloat).reshape({layer.out, layer.in, layer.kernel_y, layer.kernel_x})});
    tensors.push_back(
        {layer.name + ".bn.weight", (hashed_numbers(++number, layer.out) + 0.5).to(at::kFloat)});
    tensors.push_back({layer.name + ".bn.bias",
                       (hashed_numbers(++number, layer.out) * 0.2 - 0.1).to(at::kFloat)});
    tensors.push_back({layer.name + ".bn.running_mean",
                       (hashed_numbers(++number, layer.out) * 0.2 - 0.1).to(at::kFloat)});
    tensors.push_back({layer.name + ".bn.running_var",
                       (hashed_numbers(++number, layer.out) + 0.5).to(at::kFloat)});
  }
  return tensors;
}

inline void save_inception_weights(const std::filesystem::path& path, int64_t dimensions) {
  save_safetensors(path, inception_weights(dimensions));
}

}  // namespace lockstep
