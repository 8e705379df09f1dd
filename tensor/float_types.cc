#include "tensor/float_types.h"

#include "core/errors.h"

namespace lockstep {

FloatType float_type_of(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return FloatType::kFloat32;
    case at::kBFloat16:
      return FloatType::kBfloat16;
    case at::kHalf:
      return FloatType::kFloat16;
    default:
      throw InternalError(std::string("a kernel was given a tensor of type ") +
                          c10::toString(dtype));
  }
}

}  // namespace lockstep
