// Sums of features and of their outer products in double: all that FID needs of any number of
// pictures.
//
// Float32 sums give wrong covariances (pytorch-fid issue 16); double ones of 50,000 features lose
// nothing that shows. Sums of parts add up, so ranks and chunks need not meet before the end.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lockstep {

struct Moments {
  int64_t count = 0;
  at::Tensor sum;    // f64 [D]
  at::Tensor outer;  // f64 [D, D]: Σ x xᵀ

  // Of features f32 or f64 [N, D]. Throws NumericError if a feature is not finite.
  static Moments of(const at::Tensor& features);
  // As one row of numbers, and back: what ranks exchange. Of `outer` the upper triangle, so 17 MB
  // for 2048 features.
  std::vector<double> to_sums() const;
  // The same row for features f32 [N, D] on a device, f64 there, without looking at the numbers.
  static at::Tensor sums_on_device(const at::Tensor& features);
  static Moments from_sums(const std::vector<double>& sums, int64_t dimensions);
  void merge(const Moments& other);

  at::Tensor mean() const;        // f64 [D]
  at::Tensor covariance() const;  // f64 [D, D], divided by count − 1; count ≥ 2
};

}  // namespace lockstep
