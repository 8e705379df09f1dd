// Compiled for avx512 alone (models/CMakeLists.txt): run only where kernel_isa.h says so.
#include <algorithm>

#include "kernels/lanes/lanes_avx512.h"

#include "kernels/norms/channel_norm_kernel_impl.h"

namespace lockstep {

const ChannelNormKernel& channel_norm_kernel_avx512() {
  static constexpr ChannelNormKernel kernel{"avx512", channel_norm_forward<avx512::Lanes>,
                                            channel_norm_backward<avx512::Lanes>};
  return kernel;
}

}  // namespace lockstep
