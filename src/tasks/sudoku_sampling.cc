#include "tasks/sudoku_sampling.h"

#include <algorithm>

#include "core/philox.h"

namespace lockstep {
namespace {

// Elements of the sampling stream at (id, pass).
enum Element : uint64_t { kCell = 0, kDigit = 1 };

size_t most_confident(const SudokuBoard& board, const float* p) {
  size_t best_cell = 0;
  float best = -1;
  for (size_t cell = 0; cell < board.size(); ++cell) {
    if (board[cell] != 0) continue;
    const float largest = *std::max_element(p + cell * 9, p + cell * 9 + 9);
    if (largest > best) {
      best = largest;
      best_cell = cell;
    }
  }
  return best_cell;
}

size_t nth_blank(const SudokuBoard& board, uint32_t n) {
  size_t cell = 0;
  for (;; ++cell)
    if (board[cell] == 0 && n-- == 0) return cell;
}

// Inverts the cumulative distribution; rounding at its end goes to the last digit with p > 0.
uint8_t draw_digit(const float* p, float u) {
  float cumulative = 0;
  uint8_t last = 1;
  for (int d = 0; d < 9; ++d) {
    if (p[d] > 0) last = static_cast<uint8_t>(d + 1);
    cumulative += p[d];
    if (u < cumulative) return static_cast<uint8_t>(d + 1);
  }
  return last;
}

}  // namespace

std::vector<SudokuBoard> sample_sudokus(const SudokuPredict& predict, int64_t count, uint64_t seed, uint64_t first_id,
                                        SudokuSamplingOrder order, int64_t batch) {
  const Stream stream(seed, Purpose::kSampling);
  std::vector<SudokuBoard> boards(static_cast<size_t>(count), SudokuBoard{});
  std::vector<float> probabilities;
  for (size_t first = 0; first < boards.size(); first += static_cast<size_t>(batch)) {
    const std::span<SudokuBoard> group =
        std::span(boards).subspan(first, std::min(static_cast<size_t>(batch), boards.size() - first));
    probabilities.resize(group.size() * kCells * 9);
    for (uint32_t pass = 0; pass < kCells; ++pass) {
      predict(group, probabilities.data());
      for (size_t i = 0; i < group.size(); ++i) {
        const float* p = probabilities.data() + i * kCells * 9;
        const uint64_t id = first_id + first + i;
        const size_t cell = order == SudokuSamplingOrder::kConfident
                                ? most_confident(group[i], p)
                                : nth_blank(group[i], stream.below(id, pass, kCell, kCells - pass));
        group[i][cell] = draw_digit(p + cell * 9, stream.uniform(id, pass, kDigit));
      }
    }
  }
  return boards;
}

}  // namespace lockstep
