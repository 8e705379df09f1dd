#include "tasks/sudoku_masks.h"

#include <cmath>
#include <numeric>

#include "core/philox.h"

namespace lockstep {
namespace {

// Draws elements of one (id, step) in order.
class Draws {
 public:
  Draws(uint64_t seed, Purpose purpose, int64_t id, int64_t step)
      : stream_(seed, purpose), id_(static_cast<uint64_t>(id)), step_(static_cast<uint32_t>(step)) {}
  uint32_t below(uint32_t n) { return stream_.below(id_, step_, next_++, n); }
  double uniform() { return stream_.uniform(id_, step_, next_++); }

  // Fisher–Yates: the first `count` places of a random order of `items`.
  template <class Items>
  void shuffle(Items& items, size_t size, size_t count) {
    for (size_t i = 0; i < count && i + 1 < size; ++i)
      std::swap(items[i], items[i + below(static_cast<uint32_t>(size - i))]);
  }

 private:
  Stream stream_;
  uint64_t id_;
  uint32_t step_;
  uint64_t next_ = 0;
};

std::array<uint8_t, 3> shuffled_three(Draws& draws) {
  std::array<uint8_t, 3> order = {0, 1, 2};
  draws.shuffle(order, 3, 2);
  return order;
}

// Bands (or stacks) in random order, and the three lines of each.
std::array<uint8_t, 9> shuffled_lines(Draws& draws) {
  std::array<uint8_t, 9> lines;
  const std::array<uint8_t, 3> bands = shuffled_three(draws);
  for (size_t b = 0; b < 3; ++b) {
    const std::array<uint8_t, 3> within = shuffled_three(draws);
    for (size_t i = 0; i < 3; ++i) lines[3 * b + i] = static_cast<uint8_t>(3 * bands[b] + within[i]);
  }
  return lines;
}

SudokuExample hide(const SudokuBoard& solution, const SudokuBoard& shown) {
  SudokuExample example;
  for (size_t cell = 0; cell < solution.size(); ++cell) {
    example.cells[cell] = shown[cell];
    example.targets[cell] = shown[cell] == 0 ? solution[cell] : 0;
  }
  return example;
}

SudokuBoard with_random_hidden(const SudokuBoard& solution, size_t hidden, Draws& draws) {
  std::array<uint8_t, kSudokuBoardCells> order;
  std::iota(order.begin(), order.end(), uint8_t{0});
  draws.shuffle(order, order.size(), hidden);
  SudokuBoard shown = solution;
  for (size_t i = 0; i < hidden; ++i) shown[order[i]] = 0;
  return shown;
}

}  // namespace

SudokuBoard SudokuSymmetry::apply(const SudokuBoard& board) const {
  SudokuBoard result;
  for (size_t cell = 0; cell < board.size(); ++cell) result[cell] = digits[board[source[cell]]];
  return result;
}

SudokuSymmetry random_sudoku_symmetry(uint64_t seed, int64_t id, int64_t step) {
  Draws draws(seed, Purpose::kSymmetry, id, step);
  SudokuSymmetry symmetry;
  std::iota(symmetry.digits.begin(), symmetry.digits.end(), uint8_t{0});
  auto* one = symmetry.digits.data() + 1;
  draws.shuffle(one, 9, 8);
  const std::array<uint8_t, 9> rows = shuffled_lines(draws), columns = shuffled_lines(draws);
  const bool transpose = draws.below(2) == 1;
  for (size_t row = 0; row < 9; ++row)
    for (size_t column = 0; column < 9; ++column) {
      const size_t r = rows[row], c = columns[column];
      symmetry.source[9 * row + column] = static_cast<uint8_t>(transpose ? 9 * c + r : 9 * r + c);
    }
  return symmetry;
}

SudokuExample sudoku_example(const SudokuBoard& solution, const SudokuBoard& puzzle, uint64_t seed, int64_t id,
                             int64_t step, const SudokuMaskOptions& options) {
  Draws draws(seed, Purpose::kMask, id, step);
  SudokuBoard shown;
  if (draws.uniform() < options.uniform_share) {
    shown = with_random_hidden(solution, 1 + draws.below(kSudokuBoardCells), draws);
  } else {
    shown = puzzle;
    std::array<uint8_t, kSudokuBoardCells> blank;
    size_t blanks = 0;
    for (size_t cell = 0; cell < puzzle.size(); ++cell)
      if (puzzle[cell] == 0) blank[blanks++] = static_cast<uint8_t>(cell);
    if (draws.uniform() < options.hint_share) {
      const auto hints = static_cast<size_t>(std::floor(options.hint_amount * draws.uniform() * double(blanks)));
      draws.shuffle(blank, blanks, hints);
      for (size_t i = 0; i < hints; ++i) shown[blank[i]] = solution[blank[i]];
    }
  }
  const SudokuExample example = hide(solution, shown);
  if (!options.symmetry) return example;
  const SudokuSymmetry symmetry = random_sudoku_symmetry(seed, id, step);
  return {symmetry.apply(example.cells), symmetry.apply(example.targets)};
}

SudokuExample sudoku_evaluation_example(const SudokuBoard& solution, int hidden, uint64_t seed, int64_t id) {
  Draws draws(seed, Purpose::kEvaluation, id, 0);
  return hide(solution, with_random_hidden(solution, static_cast<size_t>(hidden), draws));
}

}  // namespace lockstep
