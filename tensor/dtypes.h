// The element types of safetensors files and their names there.
#pragma once

#include <cstddef>
#include <string>

#include <ATen/core/Tensor.h>

namespace lockstep {

struct DtypeName {
  const char* name;
  at::ScalarType dtype;
  size_t bytes;
};

// nullptr if unknown.
const DtypeName* find_dtype(const std::string& name);
const DtypeName* find_dtype(at::ScalarType dtype);

// "[2, 3]"; -1 prints as "?".
std::string format_shape(const std::vector<int64_t>& shape);

}  // namespace lockstep
