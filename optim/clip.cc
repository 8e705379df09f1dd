#include "optim/clip.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ddp/slots.h"
#include "optim/kernels/kernels.h"

namespace lockstep {

namespace {

// Σ (g · multiplier)² of each block that the shard's rank owns; 0 for the others.
std::vector<double> block_sums(const Arena& gradients, float multiplier, const ShardLayout& shard,
                               const ParallelFor& parallel) {
  const ArenaLayout& layout = gradients.layout();
  const OptimizerKernels& kernels = optimizer_kernels();
  const float* data = gradients.data();
  std::vector<double> sums(layout.num_blocks());
  parallel(layout.num_blocks(), [&](int64_t block) {
    if (shard.owner(block) != shard.rank()) return;
    const int64_t begin = block * ArenaLayout::kBlockElements;
    const int64_t count = std::min(ArenaLayout::kBlockElements, layout.size - begin);
    sums[block] = kernels.sum_of_squares(data + begin, count, multiplier);
  });
  return sums;
}

double norm_of(const std::vector<double>& sums) {
  return std::sqrt(
      tree_sum<double>(0, std::ssize(sums), [&](int64_t block) { return sums[block]; }));
}

}  // namespace

double gradient_norm(const Arena& gradients, float multiplier, const ParallelFor& parallel) {
  return norm_of(block_sums(gradients, multiplier, gradients.layout(), parallel));
}

double gradient_norm(const Arena& gradients, float multiplier, const ShardLayout& shard,
                     Communicator& comm, const ParallelFor& parallel) {
  std::vector<double> sums = block_sums(gradients, multiplier, shard, parallel);
  all_gather_block_values(comm, shard, sums);
  return norm_of(sums);
}

float clip_coefficient(double norm, double max_norm) {
  return std::min(1.0f, static_cast<float>(max_norm) / (static_cast<float>(norm) + 1e-6f));
}

}  // namespace lockstep
