// Compiled for avx2 alone (models/CMakeLists.txt): run only where kernel_isa.h says so.
#include <algorithm>

#include "kernels/lanes/lanes_avx2.h"

#include "kernels/norms/channel_norm_kernel_impl.h"

namespace lockstep {

const ChannelNormKernel& channel_norm_kernel_avx2() {
  static constexpr ChannelNormKernel kernel{"avx2", channel_norm_forward<avx2::Lanes>,
                                            channel_norm_backward<avx2::Lanes>};
  return kernel;
}

}  // namespace lockstep
