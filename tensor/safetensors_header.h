// The JSON header of a safetensors file: parsing with every check, and writing.
#pragma once

#include <string>
#include <vector>

#include "tensor/safetensors.h"

namespace lockstep {

constexpr size_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kMaxTensors = 200'000;
constexpr size_t kMaxDims = 64;  // LibTorch's iterators take no more

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // in file order
  Metadata metadata;
};

// Parses `json` of a file whose data part has `data_bytes` bytes. `file` is the name in messages.
// Throws DataError.
SafetensorsHeader parse_safetensors_header(const std::string& json, size_t data_bytes,
                                           const std::string& file);

// The header's JSON, padded with spaces so that 8 + its length is a multiple of 8.
std::string write_safetensors_header(const SafetensorsHeader& header);

}  // namespace lockstep
