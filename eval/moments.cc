#include "eval/moments.h"

#include <cstring>

#include <ATen/ATen.h>

#include "core/errors.h"

namespace lockstep {

Moments Moments::of(const at::Tensor& features) {
  const at::Tensor x = features.to(at::kDouble);
  Moments moments{x.size(0), x.sum(0), at::mm(x.t(), x)};
  if (!at::isfinite(moments.sum).all().item<bool>())
    throw NumericError("the features of some pictures are not finite",
                       "do the pictures, or the weights of Inception, hold NaN or infinities?");
  return moments;
}

namespace {

// The number of sums: count, Σx, and the upper triangle of Σ x xᵀ row by row.
size_t number_of_sums(size_t d) { return 1 + d + d * (d + 1) / 2; }

}  // namespace

std::vector<double> Moments::to_sums() const {
  const auto d = static_cast<size_t>(sum.size(0));
  std::vector<double> sums(number_of_sums(d));
  sums[0] = static_cast<double>(count);
  const at::Tensor s = sum.contiguous(), o = outer.contiguous();
  std::memcpy(sums.data() + 1, s.const_data_ptr<double>(), d * sizeof(double));
  double* row = sums.data() + 1 + d;
  for (size_t i = 0; i < d; row += d - i, ++i)
    std::memcpy(row, o.const_data_ptr<double>() + i * d + i, (d - i) * sizeof(double));
  return sums;
}

at::Tensor Moments::sums_on_device(const at::Tensor& features) {
  const at::Tensor x = features.to(at::kDouble);
  const int64_t d = x.size(1);
  const at::Tensor upper =
      at::triu_indices(d, d, 0, at::TensorOptions(at::kLong).device(x.device()));
  const at::Tensor outer = at::mm(x.t(), x).flatten().index_select(0, upper[0] * d + upper[1]);
  return at::cat({at::full({1}, static_cast<double>(x.size(0)), x.options()), x.sum(0), outer});
}

Moments Moments::from_sums(const std::vector<double>& sums, int64_t dimensions) {
  const auto d = static_cast<size_t>(dimensions);
  if (sums.size() != number_of_sums(d))
    throw InternalError("moments of another number of features");
  Moments moments{static_cast<int64_t>(sums[0]), at::empty({dimensions}, at::kDouble),
                  at::empty({dimensions, dimensions}, at::kDouble)};
  std::memcpy(moments.sum.mutable_data_ptr<double>(), sums.data() + 1, d * sizeof(double));
  const double* row = sums.data() + 1 + d;
  double* square = moments.outer.mutable_data_ptr<double>();
  for (size_t i = 0; i < d; row += d - i, ++i)
    for (size_t j = i; j < d; ++j) square[i * d + j] = square[j * d + i] = row[j - i];
  return moments;
}

void Moments::merge(const Moments& other) {
  count += other.count;
  sum = sum + other.sum;
  outer = outer + other.outer;
}

at::Tensor Moments::mean() const { return sum / static_cast<double>(count); }

at::Tensor Moments::covariance() const {
  if (count < 2) throw InternalError("a covariance of fewer than two samples");
  const at::Tensor m = mean();
  const at::Tensor centered = at::addr(outer, m, m, 1, -static_cast<double>(count));
  return (centered + centered.t()).div_(2.0 * static_cast<double>(count - 1));
}

}  // namespace lockstep
