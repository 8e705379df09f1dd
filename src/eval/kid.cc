#include "eval/kid.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "core/philox.h"
#include "data/sample_order.h"

namespace lockstep {
namespace {

constexpr uint64_t kSeed = 1;  // the same for everybody: scores are comparable

// `size` of `count` numbers, each set equally likely (the first steps of a Fisher-Yates shuffle).
at::Tensor subset(int64_t count, int64_t size, int64_t number, uint32_t side) {
  const Stream stream(kSeed, Purpose::kEvaluation);
  std::vector<int64_t> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  for (int64_t i = 0; i < size; ++i) {
    const uint32_t step = stream.below(static_cast<uint64_t>(number), side, static_cast<uint64_t>(i), static_cast<uint32_t>(count - i));
    std::swap(ids[static_cast<size_t>(i)], ids[static_cast<size_t>(i) + step]);
  }
  ids.resize(static_cast<size_t>(size));
  return at::tensor(ids, at::kLong);
}

at::Tensor draw(const at::Tensor& features, int64_t number, uint32_t side) {
  const int64_t count = features.size(0);
  return count <= kKidSubsetSize ? features : features.index_select(0, subset(count, kKidSubsetSize, number, side));
}

// Σ of (x·y/D + 1)³ over all pairs, row by row in one pass; without i = j if `off_diagonal`.
double kernel_sum(const at::Tensor& x, const at::Tensor& y, bool off_diagonal) {
  const at::Tensor products = at::mm(x, y.t());
  const int64_t rows = products.size(0), columns = products.size(1);
  const double scale = 1.0 / static_cast<double>(x.size(1));
  const auto* value = products.const_data_ptr<double>();
  double total = 0;
  for (int64_t i = 0; i < rows; ++i) {
    double row = 0;
    for (int64_t j = 0; j < columns; ++j, ++value) {
      const double base = *value * scale + 1.0;
      if (!off_diagonal || i != j) row += base * base * base;
    }
    total += row;
  }
  return total;
}

double mean_of_pairs(const at::Tensor& x) {
  const auto n = static_cast<double>(x.size(0));
  return kernel_sum(x, x, /*off_diagonal=*/true) / (n * (n - 1));
}

}  // namespace

double squared_mmd(const at::Tensor& x_MD, const at::Tensor& y_ND) {
  const at::Tensor x = x_MD.to(at::kDouble), y = y_ND.to(at::kDouble);
  return mean_of_pairs(x) + mean_of_pairs(y) - 2.0 * kernel_sum(x, y, false) / static_cast<double>(x.size(0) * y.size(0));
}

KidScore kid(const at::Tensor& a_ND, const at::Tensor& b_ND) {
  if (a_ND.size(0) < 2 || b_ND.size(0) < 2) throw InternalError("KID of fewer than two samples");
  const bool whole = a_ND.size(0) <= kKidSubsetSize && b_ND.size(0) <= kKidSubsetSize;
  std::vector<double> values;
  for (int64_t i = 0; i < (whole ? 1 : kKidSubsets); ++i) values.push_back(squared_mmd(draw(a_ND, i, 0), draw(b_ND, i, 1)));
  KidScore score;
  for (const double value : values) score.mean += value / static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - score.mean) * (value - score.mean);
  if (values.size() > 1) score.deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return score;
}

std::vector<int64_t> kid_pool(int64_t count) {
  std::vector<int64_t> ids;
  if (count < 1) return ids;
  const SampleOrder order(count, kSeed);
  for (int64_t i = 0; i < std::min(count, kKidPool); ++i) ids.push_back(count <= kKidPool ? i : order.id(i));
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace lockstep
