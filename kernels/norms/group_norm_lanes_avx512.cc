// Compiled for avx512 alone (models/CMakeLists.txt): run only where kernel_isa.h says so.
#include "kernels/lanes/lanes_avx512.h"

#include "kernels/norms/group_norm_lanes_impl.h"

namespace lockstep {

const GroupNormLanes& group_norm_lanes_avx512() {
  static constexpr GroupNormLanes kernel{"avx512", group_norm_lanes_forward<avx512::Lanes>,
                                         group_norm_lanes_backward<avx512::Lanes>};
  return kernel;
}

}  // namespace lockstep
