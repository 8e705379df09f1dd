#include "eval/nearest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <ATen/ATen.h>

namespace lockstep {
namespace {

constexpr int64_t kBlockNumbers = int64_t{1}
                                  << 22;  // floats of reference pictures that are in memory at once

// u8 [B, …] → f32 [B, numbers], around zero so that products stay small.
at::Tensor as_rows(const at::Tensor& pictures) { return pictures.flatten(1).to(at::kFloat) - 128; }

double mean_square(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).to(at::kDouble).square().mean().item<double>();
}

}  // namespace

std::vector<double> nearest_distances(const at::Tensor& pictures, const Dataset& reference,
                                      int64_t count) {
  const at::Tensor rows = as_rows(pictures);
  const int64_t block = std::max<int64_t>(1, kBlockNumbers / rows.size(1));
  std::vector<double> best(static_cast<size_t>(rows.size(0)),
                           std::numeric_limits<double>::infinity());
  for (int64_t first = 0; first < count; first += block) {
    std::vector<int64_t> ids(static_cast<size_t>(std::min(block, count - first)));
    std::iota(ids.begin(), ids.end(), first);
    const at::Tensor others = as_rows(reference.read(ids).array("images"));
    // |b|² − 2ab finds the nearest; float rounding is too coarse to tell a copy from a near one, so
    // that one is measured.
    const at::Tensor nearest =
        at::addmm(others.square().sum(1).unsqueeze(0), rows, others.t(), 1, -2).argmin(1);
    for (int64_t i = 0; i < rows.size(0); ++i) {
      const double found = mean_square(rows[i], others[nearest.const_data_ptr<int64_t>()[i]]);
      best[static_cast<size_t>(i)] = std::min(best[static_cast<size_t>(i)], found);
    }
  }
  for (double& value : best) value = std::sqrt(value) / 255;
  return best;
}

}  // namespace lockstep
