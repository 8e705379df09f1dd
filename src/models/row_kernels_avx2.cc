// Compiled for avx2 alone (src/models/CMakeLists.txt): run only where kernel_isa.h says so.
#include "models/lanes_avx2.h"

#include "models/row_kernels_impl.h"

namespace lockstep {

const RowKernels& row_kernels_avx2() {
  static constexpr RowKernels kernels = row_kernels_of<avx2::Lanes>("avx2");
  return kernels;
}

}  // namespace lockstep
