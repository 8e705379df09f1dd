// The memory of tensors that may be undefined, as kernels take it: null where there is none.
#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep {

inline const float* floats(const at::Tensor& t) {
  return t.defined() ? t.const_data_ptr<float>() : nullptr;
}
inline const void* data(const at::Tensor& t) { return t.defined() ? t.const_data_ptr() : nullptr; }

}  // namespace lockstep
