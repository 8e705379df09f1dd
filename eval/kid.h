// Kernel Inception Distance (Bińkowski et al., "Demystifying MMD GANs", ICLR 2018,
// arXiv:1801.01401, 4): the unbiased squared MMD with kernel (x·y/D + 1)³. Unlike FID it has no
// bias in the number of samples.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lockstep {

inline constexpr int64_t kKidSubsets = 100;
inline constexpr int64_t kKidSubsetSize = 1000;
// Features kept of a side with more pictures: subsets are drawn from these. Memory stays flat.
inline constexpr int64_t kKidPool = 10000;

struct KidScore {
  double mean = 0;
  double deviation = 0;  // standard deviation over subsets, 0 for a single one
};

// Of features [N, D], N ≥ 2 a side, both on one device, where the work is done. A side of at most
// 1,000 samples takes part whole; if both do, there is one value; else the mean over 100 pairs of
// subsets of 1,000, chosen by Philox (kEvaluation, id = subset, step = side).
KidScore kid(const at::Tensor& a_ND, const at::Tensor& b_ND);

// One value of the unbiased estimator, in double.
double squared_mmd(const at::Tensor& x_MD, const at::Tensor& y_ND);

// Which of `count` pictures are kept for KID, rising: all, or kKidPool of them in the order of a
// fixed permutation.
std::vector<int64_t> kid_pool(int64_t count);

}  // namespace lockstep
