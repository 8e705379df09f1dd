// SwiGLU as one kernel: y = silu(gate) · up, and its backward, on the GPU and on the CPU.
//
// Shazeer, "GLU Variants Improve Transformer", 2020, arXiv:2002.05202, eq. 6. Gate and up may be
// two tensors or the halves of one (a fused projection): rows are `*_stride` elements apart,
// columns are dense.
//
// Memory: forward reads 2 and writes 1 element each, backward reads 3 and writes 2.
#pragma once

#include <cstdint>

#include "core/float_type.h"

namespace lockstep {

struct SwigluShape {
  int64_t rows = 0, columns = 0;
  int64_t input_stride = 0;  // elements from a row of gate (and of up, dgate, dup) to the next
  FloatType type = FloatType::kFloat32;
};

namespace cuda {
void swiglu_forward(const SwigluShape& shape, const void* gate, const void* up, void* y,
                    void* stream);
void swiglu_backward(const SwigluShape& shape, const void* gate, const void* up, const void* dy,
                     void* dgate, void* dup, void* stream);
}  // namespace cuda

namespace cpu {
void swiglu_forward(const SwigluShape& shape, const void* gate, const void* up, void* y,
                    void* stream);
void swiglu_backward(const SwigluShape& shape, const void* gate, const void* up, const void* dy,
                     void* dgate, void* dup, void* stream);
}  // namespace cpu

}  // namespace lockstep
