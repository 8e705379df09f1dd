// Plain C++ for processors without AVX2.
#include "kernels/lanes/lanes_generic.h"

#include "kernels/language/row_kernels_impl.h"

namespace lockstep {

const RowKernels& row_kernels_generic() {
  static constexpr RowKernels kernels = row_kernels_of<generic::Lanes>("generic");
  return kernels;
}

}  // namespace lockstep
