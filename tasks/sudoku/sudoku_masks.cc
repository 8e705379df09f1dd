#include "tasks/sudoku/sudoku_masks.h"

#include <cmath>
#include <numeric>
#include <vector>

#include "core/philox.h"
#include "data/sudoku/sudoku_puzzles.h"

namespace lockstep {
namespace {

SudokuExample hide(const SudokuBoard& solution, const SudokuBoard& shown) {
  SudokuExample example;
  for (size_t cell = 0; cell < solution.size(); ++cell) {
    example.cells[cell] = shown[cell];
    example.targets[cell] = shown[cell] == 0 ? solution[cell] : uint8_t{0};
  }
  return example;
}

SudokuBoard with_random_hidden(const SudokuBoard& solution, int hidden, Draws& draws) {
  std::array<size_t, kCells> order;
  std::iota(order.begin(), order.end(), size_t{0});
  draws.shuffle(order.begin(), order.end());
  SudokuBoard shown = solution;
  for (int i = 0; i < hidden; ++i) shown[order[size_t(i)]] = 0;
  return shown;
}

SudokuBoard with_hints(const SudokuBoard& puzzle, const SudokuBoard& solution, double amount,
                       Draws& draws) {
  std::vector<size_t> blank;
  for (size_t cell = 0; cell < puzzle.size(); ++cell)
    if (puzzle[cell] == 0) blank.push_back(cell);
  const auto hints =
      static_cast<size_t>(std::floor(amount * draws.uniform() * double(blank.size())));
  draws.shuffle(blank.begin(), blank.end());
  SudokuBoard shown = puzzle;
  for (size_t i = 0; i < hints; ++i) shown[blank[i]] = solution[blank[i]];
  return shown;
}

}  // namespace

SudokuExample sudoku_example(const SudokuBoard& solution, const SudokuBoard& puzzle, uint64_t seed,
                             int64_t id, int64_t step, const SudokuMaskOptions& options) {
  const Stream masks(seed, Purpose::kMask), symmetries(seed, Purpose::kSymmetry);
  SudokuBoard whole = solution, shown = puzzle;
  if (options.symmetry) {
    Draws draws(symmetries, uint64_t(id), uint32_t(step));
    shuffle_symmetry(shown, whole, draws);
  }
  Draws draws(masks, uint64_t(id), uint32_t(step));
  if (draws.uniform() < options.uniform_share) {
    const auto fewest = static_cast<int>(options.uniform_fewest);
    return hide(whole, with_random_hidden(whole, fewest + draws.below(kCells + 1 - fewest), draws));
  }
  if (draws.uniform() < options.hint_share)
    shown = with_hints(shown, whole, options.hint_amount, draws);
  return hide(whole, shown);
}

SudokuExample sudoku_evaluation_example(const SudokuBoard& solution, int hidden, uint64_t seed,
                                        int64_t id) {
  const Stream stream(seed, Purpose::kEvaluation);
  Draws draws(stream, uint64_t(id), 0);
  return hide(solution, with_random_hidden(solution, hidden, draws));
}

}  // namespace lockstep
