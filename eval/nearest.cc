#include "eval/nearest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <ATen/ATen.h>

namespace lockstep {
namespace {

// Numbers of reference pictures that are in memory at once.
constexpr int64_t kBlockNumbers = int64_t{1} << 21;

// u8 [B, …] → f64 [B, numbers]. All sums of products of bytes are integers that a double holds, so
// that distances are exact in whatever order a product adds them up: float32 mistakes a picture
// that is one level off for a copy once a picture has 100,000 numbers.
at::Tensor as_rows(const at::Tensor& pictures) { return pictures.flatten(1).to(at::kDouble); }

}  // namespace

std::vector<double> nearest_distances(const at::Tensor& pictures, const Dataset& reference,
                                      int64_t count) {
  const at::Tensor rows = as_rows(pictures), squares = rows.square().sum(1);
  const int64_t block = std::max<int64_t>(1, kBlockNumbers / rows.size(1));
  std::vector<double> best(static_cast<size_t>(rows.size(0)),
                           std::numeric_limits<double>::infinity());
  for (int64_t first = 0; first < count; first += block) {
    std::vector<int64_t> ids(static_cast<size_t>(std::min(block, count - first)));
    std::iota(ids.begin(), ids.end(), first);
    const at::Tensor others = as_rows(reference.read(ids).array("images"));
    // |a − b|² = |a|² + |b|² − 2ab
    const at::Tensor found =
        at::addmm(others.square().sum(1).unsqueeze(0), rows, others.t(), 1, -2).amin(1) + squares;
    for (size_t i = 0; i < best.size(); ++i)
      best[i] = std::min(best[i], found.const_data_ptr<double>()[i]);
  }
  for (double& value : best) value = std::sqrt(value / static_cast<double>(rows.size(1))) / 255;
  return best;
}

}  // namespace lockstep
