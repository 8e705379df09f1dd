#include "tasks/sudoku/sudoku_sampling.h"

#include <algorithm>

#include "core/philox.h"

namespace lockstep {
namespace {

constexpr float kCertain = 0.9995f;
constexpr double kTwoLeft = 0.99;
// Elements of the sampling stream at (id, pass): the choice of a cell, then a digit for each cell.
enum Element : uint64_t { kCell = 0, kDigit = 1 };

int nth_blank(const SudokuBoard& board, uint32_t n) {
  size_t cell = 0;
  for (;; ++cell)
    if (board[cell] == 0 && n-- == 0) return static_cast<int>(cell);
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

// The cells that this pass draws.
std::vector<int> cells_to_draw(const SudokuBoard& board, const float* p, SudokuSamplingOrder order,
                               uint32_t random) {
  if (order == SudokuSamplingOrder::kRandom) return {nth_blank(board, random)};
  if (order == SudokuSamplingOrder::kConfident) return {most_confident_cell(board, p)};
  std::vector<int> certain;
  for (int cell = 0; cell < kCells; ++cell)
    if (board[size_t(cell)] == 0 && *std::max_element(p + cell * 9, p + cell * 9 + 9) > kCertain)
      certain.push_back(cell);
  if (!certain.empty()) return certain;
  return {most_doubtful_cell(board, p, kTwoLeft)};
}

uint32_t blanks(const SudokuBoard& board) {
  return static_cast<uint32_t>(std::count(board.begin(), board.end(), 0));
}

}  // namespace

std::vector<SudokuBoard> sample_sudokus(const SudokuPredict& predict, int64_t count, uint64_t seed,
                                        uint64_t first_id, SudokuSamplingOrder order,
                                        int64_t batch) {
  const Stream stream(seed, Purpose::kSampling);
  std::vector<SudokuBoard> boards(static_cast<size_t>(count), SudokuBoard{});
  const auto group_size = static_cast<size_t>(batch);
  std::vector<SudokuBoard> questions;
  std::vector<size_t> live;
  std::vector<float> probabilities;
  for (size_t first = 0; first < boards.size(); first += group_size)
    for (uint32_t pass = 0;; ++pass) {
      questions.clear();
      live.clear();
      for (size_t i = first; i < std::min(first + group_size, boards.size()); ++i) {
        if (blanks(boards[i]) == 0) continue;
        live.push_back(i);
        questions.push_back(boards[i]);
      }
      if (live.empty()) break;
      probabilities.resize(live.size() * kCells * 9);
      predict(questions, probabilities.data());
      for (size_t k = 0; k < live.size(); ++k) {
        const float* p = probabilities.data() + k * kCells * 9;
        const uint64_t id = first_id + live[k];
        const uint32_t random = stream.below(id, pass, kCell, blanks(questions[k]));
        for (int cell : cells_to_draw(questions[k], p, order, random))
          boards[live[k]][size_t(cell)] =
              draw_digit(p + cell * 9, stream.uniform(id, pass, kDigit + uint64_t(cell)));
      }
    }
  return boards;
}

}  // namespace lockstep
