// The Fréchet distance of two Gaussians: |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr √(Σ₁Σ₂)
// (Heusel et al., NeurIPS 2017, arXiv:1706.08500, eq. 6; Dowson & Landau 1982).
//
// No square root of a matrix is taken. With Σ₁ = L Lᵀ the eigenvalues of Σ₁Σ₂ are those of the
// symmetric Lᵀ Σ₂ L, so tr √(Σ₁Σ₂) = Σ √λ: a Cholesky factor and eigenvalues instead of a Schur
// form, ten times faster and without imaginary parts. Where neither Σ has a Cholesky factor (fewer
// samples than features) L comes from the eigenvectors of Σ₁ with positive eigenvalues. Of λ only
// as many count as the product's rank allows: the rest is noise, whose roots would add up. Nothing
// is added to diagonals.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

namespace lockstep {

struct Gaussian {
  at::Tensor mean;               // f64 [D]
  at::Tensor covariance;         // f64 [D, D], symmetric
  std::optional<int64_t> count;  // samples it was estimated from: bounds the rank
};

// Throws DataError if the numbers of features differ, NumericError if something is not finite. Runs
// on the intra-op threads that are set.
double frechet_distance(const Gaussian& a, const Gaussian& b);

}  // namespace lockstep
