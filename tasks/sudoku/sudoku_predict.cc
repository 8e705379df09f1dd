#include "tasks/sudoku/sudoku_predict.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <ATen/ATen.h>

#include "core/errors.h"

namespace lockstep {

MaskedGridModel& as_masked_grid(Model& model) {
  auto* grid_model = dynamic_cast<MaskedGridModel*>(&model);
  if (grid_model == nullptr) throw InternalError("the sudoku task got a model of another task");
  return *grid_model;
}

SudokuPredict predict_with(MaskedGridModel& model) {
  return [&model](std::span<const SudokuBoard> boards, float* probabilities) {
    const at::NoGradGuard no_grad;
    const auto count = static_cast<int64_t>(boards.size());
    at::Tensor cells = at::empty({count, kCells}, at::kByte);
    std::memcpy(cells.mutable_data_ptr(), boards.data(), boards.size() * sizeof(SudokuBoard));
    const at::Tensor logits = model.logits(cells).contiguous();
    const float* in = logits.const_data_ptr<float>();
    for (int64_t cell = 0; cell < count * kCells; ++cell) {
      const float* x = in + cell * 9;
      float* p = probabilities + cell * 9;
      const float largest = *std::max_element(x, x + 9);
      float sum = 0;
      for (int d = 0; d < 9; ++d) sum += p[d] = std::exp(x[d] - largest);
      for (int d = 0; d < 9; ++d) p[d] /= sum;
    }
  };
}

}  // namespace lockstep
