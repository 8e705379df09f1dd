#include "eval/moments.h"

#include <cstring>

#include <ATen/ATen.h>

#include "core/errors.h"

namespace lockstep {

Moments Moments::of(const at::Tensor& features) {
  const at::Tensor x = features.to(at::kDouble);
  Moments moments{x.size(0), x.sum(0), at::mm(x.t(), x)};
  if (!at::isfinite(moments.sum).all().item<bool>())
    throw NumericError("the features of some pictures are not finite", "do the pictures, or the weights of Inception, hold NaN or infinities?");
  return moments;
}

std::vector<double> Moments::to_sums() const {
  const auto d = static_cast<size_t>(sum.size(0));
  std::vector<double> sums(1 + d + d * d);
  sums[0] = static_cast<double>(count);
  const at::Tensor s = sum.contiguous(), o = outer.contiguous();
  std::memcpy(sums.data() + 1, s.const_data_ptr<double>(), d * sizeof(double));
  std::memcpy(sums.data() + 1 + d, o.const_data_ptr<double>(), d * d * sizeof(double));
  return sums;
}

Moments Moments::from_sums(const std::vector<double>& sums, int64_t dimensions) {
  const auto d = static_cast<size_t>(dimensions);
  if (sums.size() != 1 + d + d * d) throw InternalError("moments of another number of features");
  Moments moments{static_cast<int64_t>(sums[0]), at::empty({dimensions}, at::kDouble), at::empty({dimensions, dimensions}, at::kDouble)};
  std::memcpy(moments.sum.mutable_data_ptr<double>(), sums.data() + 1, d * sizeof(double));
  std::memcpy(moments.outer.mutable_data_ptr<double>(), sums.data() + 1 + d, d * d * sizeof(double));
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
  const at::Tensor centered = outer - at::outer(m, m) * static_cast<double>(count);
  return (centered + centered.t()) / (2.0 * static_cast<double>(count - 1));
}

}  // namespace lockstep
