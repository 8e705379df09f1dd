// Compiled for avx512 alone (models/CMakeLists.txt): run only where kernel_isa.h says so.
#include "kernels/lanes/lanes_avx512.h"

#include "kernels/language/row_kernels_impl.h"

namespace lockstep {

const RowKernels& row_kernels_avx512() {
  static constexpr RowKernels kernels = row_kernels_of<avx512::Lanes>("avx512");
  return kernels;
}

}  // namespace lockstep
