// Pairs pictures with noise so that the sum of distances is least, before noising.
//
// Li et al., "Immiscible Diffusion", NeurIPS 2024, arXiv:2406.12303. The pairing is exact (shortest
// augmenting paths, Jonker and Volgenant, Computing 38, 1987; O(B³) on at most a micro-batch of
// rows).
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lockstep {

// For a square matrix of costs, row by row: the column of each row, all different, with the least
// sum. Equal sums are decided by the order of columns.
std::vector<int64_t> least_cost_assignment(const std::vector<double>& costs, int64_t size);

// `noise` [B, …] with its rows permuted to lie near `start` (Euclidean distance, same shape).
at::Tensor paired_noise(const at::Tensor& start, const at::Tensor& noise);

}  // namespace lockstep
