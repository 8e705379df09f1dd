// Compiled for avx2 alone (models/CMakeLists.txt): run only where kernel_isa.h says so.
#include "kernels/lanes/lanes_avx2.h"

#include "kernels/language/row_kernels_impl.h"

namespace lockstep {

const RowKernels& row_kernels_avx2() {
  static constexpr RowKernels kernels = row_kernels_of<avx2::Lanes>("avx2");
  return kernels;
}

}  // namespace lockstep
