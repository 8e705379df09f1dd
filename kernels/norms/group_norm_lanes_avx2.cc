// Compiled for avx2 alone (models/CMakeLists.txt): run only where kernel_isa.h says so.
#include "kernels/lanes/lanes_avx2.h"

#include "kernels/norms/group_norm_lanes_impl.h"

namespace lockstep {

const GroupNormLanes& group_norm_lanes_avx2() {
  static constexpr GroupNormLanes kernel{"avx2", group_norm_lanes_forward<avx2::Lanes>,
                                         group_norm_lanes_backward<avx2::Lanes>};
  return kernel;
}

}  // namespace lockstep
