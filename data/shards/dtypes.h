// Element types of stored arrays: their names in dataset.json, and their sizes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

namespace lockstep {

// "u8" "i8" "i16" "i32" "i64" "u16" "u32" "f16" "f32" "f64". Throws DataError for other types.
std::string dtype_name(at::ScalarType dtype);
// Nothing if `name` is none of them.
std::optional<at::ScalarType> dtype_of_name(const std::string& name);

}  // namespace lockstep
