#include "models/sudoku/digit_vectors.h"

#include <ATen/ATen.h>

namespace lockstep {

at::Tensor digit_vectors(const at::Tensor& embedding, const at::Tensor& cells) {
  return cells.is_cuda() ? digit_vectors_by_product(embedding, cells)
                         : at::embedding(embedding, cells.to(at::kLong));
}

at::Tensor digit_vectors_by_product(const at::Tensor& embedding, const at::Tensor& cells) {
  const at::Tensor digits = at::arange(embedding.size(0), cells.options());
  return at::matmul(cells.unsqueeze(-1).eq(digits).to(embedding.scalar_type()), embedding);
}

}  // namespace lockstep
