// From FloatType to C++ types, on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/float_type.h"

namespace lockstep {

// Calls fn.operator()<T>() with float, c10::BFloat16 or c10::Half.
template <class Fn>
void with_float_type(FloatType type, const Fn& fn) {
  switch (type) {
    case FloatType::kFloat32:
      return fn.template operator()<float>();
    case FloatType::kBfloat16:
      return fn.template operator()<c10::BFloat16>();
    case FloatType::kFloat16:
      return fn.template operator()<c10::Half>();
  }
}

// Throws InternalError for other dtypes.
FloatType float_type_of(at::ScalarType dtype);

}  // namespace lockstep
