// Random solved grids, and puzzles made from them by taking givens away while one solution remains.
//
// Everything is a pure function of (seed, grid index): the data are the same for any number of
// threads.
#pragma once

#include <cstdint>
#include <optional>

#include "core/philox.h"
#include "data/sudoku/sudoku_grid.h"

namespace lockstep {

// Random numbers one after the other: element 0, 1, 2 … of one (id, step) of a stream.
class Draws {
 public:
  Draws(const Stream& stream, uint64_t id, uint32_t step) : stream_(stream), id_(id), step_(step) {}
  // In [0, n).
  int below(int n) {
    return static_cast<int>(stream_.below(id_, step_, next_++, static_cast<uint32_t>(n)));
  }
  float uniform() { return stream_.uniform(id_, step_, next_++); }
  // Shuffles [first, last) (Fisher-Yates).
  template <class Iterator>
  void shuffle(Iterator first, Iterator last) {
    for (auto n = static_cast<int>(last - first); n > 1; --n)
      std::swap(first[n - 1], first[below(n)]);
  }

 private:
  const Stream& stream_;
  uint64_t id_;
  uint32_t step_;
  uint64_t next_ = 0;
};

// A solved grid by depth-first search: always the cell with the fewest candidates (the first of
// them), its digits in random order.
Grid random_grid(Draws& draws);

// Takes givens from solved `grid` in random order while the solution stays the only one, until
// `target` are left or none can go (0: until none can go, a minimal puzzle).
Grid reduced_puzzle(const Grid& grid, int target, Draws& draws);

// A puzzle of at most `most` givens: the scarcest of a few minimal puzzles, then two givens swapped
// for one and what became superfluous removed, again and again. `tries` bounds the starts. On one
// core 21 givens take about 25 ms and 20 about 0.2 s; 19 takes minutes, and puzzles of 17 are so
// rare that they come from published lists (`data convert sudoku-csv`), not from here.
std::optional<Grid> scarce_puzzle(const Grid& grid, int most, int tries, Draws& draws);

// `puzzle` and `solution` under one random symmetry: digits renamed, rows and columns shuffled
// within bands and stacks, bands and stacks shuffled, transposed or not. All 9!·6^8·2 are equally
// likely.
void shuffle_symmetry(Grid& puzzle, Grid& solution, Draws& draws);

}  // namespace lockstep
