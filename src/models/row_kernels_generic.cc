// Plain C++ for processors without AVX2.
#include "models/lanes_generic.h"

#include "models/row_kernels_impl.h"

namespace lockstep {

const RowKernels& row_kernels_generic() {
  static constexpr RowKernels kernels = row_kernels_of<generic::Lanes>("generic");
  return kernels;
}

}  // namespace lockstep
