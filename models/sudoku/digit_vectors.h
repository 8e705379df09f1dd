// The digit embedding of the Sudoku networks: a row of ten vectors for each cell.
#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep {

// Cells of a grid, and what one may hold: blank or a digit.
inline constexpr int64_t kGridCells = 81, kDigitClasses = 10;

// embedding [10, E], cells of integers in 0..9 [...] → [..., E]. On GPUs as a product with one-hot
// rows: LibTorch's gradient of an embedding sorts the cells there and leaves the sum of each of the
// ten rows to one warp.
at::Tensor digit_vectors(const at::Tensor& embedding, const at::Tensor& cells);
// The product, on any device: what GPUs compute.
at::Tensor digit_vectors_by_product(const at::Tensor& embedding, const at::Tensor& cells);

}  // namespace lockstep
