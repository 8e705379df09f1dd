#include "eval/frechet.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

int64_t rank_of(const Gaussian& g) {
  const int64_t features = g.mean.size(0);
  return g.count ? std::clamp<int64_t>(*g.count - 1, 0, features) : features;
}

// Σ √λ over the `most` largest eigenvalues of the symmetric matrix whose lower triangle this is.
double sum_of_roots(const at::Tensor& lower, int64_t most) {
  const at::Tensor values = at::linalg_eigvalsh(lower, "L");  // rising
  const int64_t count = values.size(0);
  return values.slice(0, count - std::min(most, count)).clamp_min(0).sqrt().sum().item<double>();
}

// A factor F with F Fᵀ = Σ: lower triangular, or undefined if there is none.
at::Tensor cholesky(const Gaussian& g) {
  if (rank_of(g) < g.mean.size(0)) return {};
  const auto [factor, info] = at::linalg_cholesky_ex(g.covariance);
  return info.item<int>() == 0 ? factor : at::Tensor();
}

// The lower triangle of Fᵀ S F for lower triangular F: blocks that are zero in F or above the
// diagonal are left out, which is a third of the work.
at::Tensor lower_congruence(const at::Tensor& f, const at::Tensor& s) {
  constexpr int64_t kBlock = 256;
  const int64_t size = f.size(0);
  at::Tensor out = at::zeros_like(f);
  for (int64_t j = 0; j < size; j += kBlock) {
    const int64_t columns = std::min(kBlock, size - j);
    const at::Tensor sf =
        at::mm(s.slice(0, j).slice(1, j), f.slice(0, j).narrow(1, j, columns));  // rows from j
    for (int64_t i = j; i < size; i += kBlock) {
      const int64_t rows = std::min(kBlock, size - i);
      out.narrow(0, i, rows)
          .narrow(1, j, columns)
          .copy_(at::mm(f.slice(0, i).narrow(1, i, rows).t(), sf.slice(0, i - j)));
    }
  }
  return out;
}

// F [D, r] from the eigenvectors of positive eigenvalues, at most as many as the rank.
at::Tensor factor_by_eigenvectors(const Gaussian& g) {
  const auto [values, vectors] = at::linalg_eigh(g.covariance);
  const int64_t features = values.size(0);
  const double noise = static_cast<double>(features) * std::numeric_limits<double>::epsilon() *
                       values.abs().max().item<double>();
  const int64_t positive = values.gt(noise).sum().item<int64_t>(),
                kept = std::min(positive, rank_of(g));
  return vectors.slice(1, features - kept) * values.slice(0, features - kept).sqrt();
}

double trace_of_root(const Gaussian& a, const Gaussian& b) {
  const int64_t rank = std::min(rank_of(a), rank_of(b));
  at::Tensor factor = cholesky(a);
  const at::Tensor* other = &b.covariance;
  if (!factor.defined()) {
    factor = cholesky(b);
    other = &a.covariance;
  }
  if (factor.defined()) return sum_of_roots(lower_congruence(factor, *other), rank);
  // The one of smaller rank gives the smaller problem.
  const bool first = rank_of(a) <= rank_of(b);
  factor = factor_by_eigenvectors(first ? a : b);
  other = first ? &b.covariance : &a.covariance;
  if (factor.size(1) == 0) return 0.0;
  return sum_of_roots(at::mm(factor.t(), at::mm(*other, factor)), rank);
}

}  // namespace

double frechet_distance(const Gaussian& a, const Gaussian& b) {
  if (a.mean.size(0) != b.mean.size(0))
    throw DataError(
        fmt::format("one side has {} features, the other {}", a.mean.size(0), b.mean.size(0)),
        "compare statistics of the same layer (--features)");
  const double distance = (a.mean - b.mean).square().sum().item<double>() +
                          a.covariance.trace().item<double>() +
                          b.covariance.trace().item<double>() - 2.0 * trace_of_root(a, b);
  if (!std::isfinite(distance))
    throw NumericError("the Fréchet distance is not finite", "are the statistics finite?");
  return distance;
}

}  // namespace lockstep
