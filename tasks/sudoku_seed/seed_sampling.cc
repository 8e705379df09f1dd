#include "tasks/sudoku_seed/seed_sampling.h"

#include <algorithm>
#include <cstring>

#include <ATen/ATen.h>

#include "core/philox.h"
#include "tasks/sudoku/sudoku_puzzles_text.h"
#include "tasks/sudoku_seed/seed_loss.h"

namespace lockstep {
namespace {

struct Drawing {
  Grid grid;
  int64_t step;  // t: digits it started with, plus steps taken
  uint64_t id;
};

// Inverts the cumulative distribution; rounding at its end goes to the last cell with p > 0.
int64_t draw(const float* p, float u) {
  float cumulative = 0;
  int64_t last = 0;
  for (int64_t cell = 0; cell < kCells; ++cell) {
    if (p[cell] <= 0) continue;
    last = cell;
    cumulative += p[cell];
    if (u < cumulative) break;
  }
  return last;
}

// One step of all drawings that are not done; false if there was none.
bool take_step(const SeedConv& model, std::vector<Drawing>& drawings, const Stream& stream) {
  std::vector<Drawing*> live;
  for (Drawing& drawing : drawings)
    if (drawing.step < kCells) live.push_back(&drawing);
  if (live.empty()) return false;
  const auto count = static_cast<int64_t>(live.size());
  at::Tensor cells = at::empty({count, kCells}, at::kByte), times = at::empty({count}, at::kFloat);
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(cells.mutable_data_ptr<uint8_t>() + i * kCells, live[size_t(i)]->grid.data(),
                kCells);
    times.mutable_data_ptr<float>()[i] = static_cast<float>(live[size_t(i)]->step);
  }
  const SeedLogits logits = model.logits(cells, times);
  const at::Tensor positions =
      at::softmax(masked_positions(logits.position, cells), -1).contiguous();
  const at::Tensor values = logits.value.argmax(-1).contiguous();
  for (int64_t i = 0; i < count; ++i) {
    Drawing& drawing = *live[size_t(i)];
    const float u = stream.uniform(drawing.id, static_cast<uint32_t>(drawing.step), 0);
    const int64_t cell = draw(positions.const_data_ptr<float>() + i * kCells, u);
    drawing.grid[size_t(cell)] = static_cast<uint8_t>(values.const_data_ptr<int64_t>()[i]);
    ++drawing.step;
  }
  return true;
}

}  // namespace

std::vector<Grid> sample_seed(const SeedConv& model, std::vector<Grid> starts, uint64_t seed,
                              uint64_t first_id, int64_t batch) {
  const at::NoGradGuard no_grad;
  const Stream stream(seed, Purpose::kSampling);
  for (size_t first = 0; first < starts.size(); first += static_cast<size_t>(batch)) {
    const size_t end = std::min(starts.size(), first + static_cast<size_t>(batch));
    std::vector<Drawing> drawings;
    for (size_t i = first; i < end; ++i)
      drawings.push_back({starts[i], count_givens(starts[i].data()), first_id + i});
    while (take_step(model, drawings, stream)) {
    }
    for (size_t i = first; i < end; ++i) starts[i] = drawings[i - first].grid;
  }
  return starts;
}

bool passes_seed_check(const Grid& grid) {
  const auto conflicts = sudoku_conflicts(grid);
  return std::none_of(conflicts.begin(), conflicts.end(), [](bool conflict) { return conflict; });
}

}  // namespace lockstep
