#include "optim/clip.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddp/slots.h"
#include "optim/kernels.h"

namespace lockstep {

double gradient_norm(const Arena& gradients, float multiplier, const ParallelFor& parallel) {
  const ArenaLayout& layout = gradients.layout();
  const OptimizerKernels& kernels = optimizer_kernels();
  const float* data = gradients.data();
  std::vector<double> sums(layout.num_blocks());
  parallel(layout.num_blocks(), [&](int64_t block) {
    const int64_t begin = block * ArenaLayout::kBlockElements;
    const int64_t count = std::min(ArenaLayout::kBlockElements, layout.size - begin);
    sums[block] = kernels.sum_of_squares(data + begin, count, multiplier);
  });
  return std::sqrt(tree_sum<double>(0, layout.num_blocks(), [&](int64_t block) { return sums[block]; }));
}

float clip_coefficient(double norm, double max_norm) {
  return std::min(1.0f, static_cast<float>(max_norm) / (static_cast<float>(norm) + 1e-6f));
}

}  // namespace lockstep
