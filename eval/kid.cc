#include "eval/kid.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "core/philox.h"
#include "data/sample_order.h"

// Subsets overlap: 100 pairs of 1,000 of 10,000 samples meet every pair of samples once on average.
// So the kernel is computed once for all pairs and added up for all subsets at a time, by a product
// with the matrix that says which sample is in which subset. That is 0.8 TFLOP for two sides of
// 10,000 and 2,048 features instead of 1.2, and 0.25 for 5,000.
namespace lockstep {
namespace {

constexpr uint64_t kSeed = 1;          // the same for everybody: scores are comparable
constexpr int64_t kRowsAtATime = 256;  // of the matrix of all pairs: bounds memory

// `size` of `count` numbers, each set equally likely (the first steps of a Fisher-Yates shuffle).
std::vector<int64_t> subset(int64_t count, int64_t size, int64_t number, uint32_t side) {
  const Stream stream(kSeed, Purpose::kEvaluation);
  std::vector<int64_t> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  for (int64_t i = 0; i < size; ++i) {
    const uint32_t step = stream.below(static_cast<uint64_t>(number), side,
                                       static_cast<uint64_t>(i), static_cast<uint32_t>(count - i));
    std::swap(ids[static_cast<size_t>(i)], ids[static_cast<size_t>(i) + step]);
  }
  ids.resize(static_cast<size_t>(size));
  return ids;
}

// Samples of one side and which of them are in which subsets: f64 [N, D], and 0 or 1, f64 [N, K].
struct Side {
  at::Tensor features_ND, members_NK;
  double size;  // of every subset
};

Side side_of(const at::Tensor& features, int64_t subsets, uint32_t number) {
  const int64_t count = features.size(0), size = std::min(count, kKidSubsetSize);
  const at::Tensor values = features.to(at::kDouble);
  if (count == size)
    return {values, at::ones({count, subsets}, values.options()), static_cast<double>(size)};
  at::Tensor members = at::zeros({subsets, count}, at::kDouble);
  for (int64_t k = 0; k < subsets; ++k)
    for (const int64_t id : subset(count, size, k, number))
      members.mutable_data_ptr<double>()[k * count + id] = 1;
  return {values, members.t().contiguous().to(features.device()), static_cast<double>(size)};
}

// (v/D + 1)³ in place; `below` ≥ 0: zero in row i up to column below + i, the pairs that were there
// already.
void apply_kernel(at::Tensor& products, double scale, int64_t below) {
  if (!products.is_cpu()) {
    products.mul_(scale).add_(1.0);
    products = products * products * products;
    if (below >= 0) products.triu_(below + 1);
    return;
  }
  const int64_t rows = products.size(0), columns = products.size(1);
  auto* value = products.mutable_data_ptr<double>();
  for (int64_t i = 0; i < rows; ++i, value += columns) {
    for (int64_t j = 0; j < columns; ++j) {
      const double base = value[j] * scale + 1.0;
      value[j] = base * base * base;
    }
    if (below >= 0) std::fill(value, value + std::min(columns, below + i + 1), 0.0);
  }
}

// For each subset, Σ of the kernel over its pairs: all (x, y), or x before y if both sides are the
// same.
at::Tensor kernel_sums(const Side& x, const Side& y, bool same) {
  at::Tensor sums = at::zeros({x.members_NK.size(1)}, x.members_NK.options());
  const int64_t count = x.features_ND.size(0);
  for (int64_t first = 0; first < count; first += kRowsAtATime) {
    const int64_t rows = std::min(kRowsAtATime, count - first), from = same ? first : 0;
    at::Tensor products =
        at::mm(x.features_ND.narrow(0, first, rows), y.features_ND.slice(0, from).t());
    apply_kernel(products, 1.0 / static_cast<double>(x.features_ND.size(1)), same ? 0 : -1);
    sums += (at::mm(products, y.members_NK.slice(0, from)) * x.members_NK.narrow(0, first, rows))
                .sum(0);
  }
  return sums;
}

// The unbiased estimator for each pair of subsets, f64 [K].
at::Tensor squared_mmds(const Side& x, const Side& y) {
  return 2 * kernel_sums(x, x, true) / (x.size * (x.size - 1)) +
         2 * kernel_sums(y, y, true) / (y.size * (y.size - 1)) -
         2 * kernel_sums(x, y, false) / (x.size * y.size);
}

}  // namespace

double squared_mmd(const at::Tensor& x_MD, const at::Tensor& y_ND) {
  const auto whole = [](const at::Tensor& features) {
    const at::Tensor values = features.to(at::kDouble);
    return Side{values, at::ones({features.size(0), 1}, values.options()),
                static_cast<double>(features.size(0))};
  };
  return squared_mmds(whole(x_MD), whole(y_ND)).item<double>();
}

KidScore kid(const at::Tensor& a_ND, const at::Tensor& b_ND) {
  if (a_ND.size(0) < 2 || b_ND.size(0) < 2) throw InternalError("KID of fewer than two samples");
  const bool whole = a_ND.size(0) <= kKidSubsetSize && b_ND.size(0) <= kKidSubsetSize;
  const int64_t subsets = whole ? 1 : kKidSubsets;
  const at::Tensor values = squared_mmds(side_of(a_ND, subsets, 0), side_of(b_ND, subsets, 1));
  KidScore score;
  score.mean = values.mean().item<double>();
  if (!whole) score.deviation = values.std().item<double>();
  return score;
}

std::vector<int64_t> kid_pool(int64_t count) {
  std::vector<int64_t> ids;
  if (count < 1) return ids;
  const SampleOrder order(count, kSeed);
  for (int64_t i = 0; i < std::min(count, kKidPool); ++i)
    ids.push_back(count <= kKidPool ? i : order.id(i));
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace lockstep
