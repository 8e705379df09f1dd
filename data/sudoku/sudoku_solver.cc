#include "data/sudoku/sudoku_solver.h"

#include <array>
#include <bit>

namespace lockstep {
namespace {

constexpr uint32_t kBand = (1u << 27) - 1, kRow = 0x1FF, kEveryRow = 1 | 1 << 9 | 1 << 18;

// Patterns have nine bits 3·i + j. `usable` keeps the entries that lie on some permutation inside
// the pattern (0: there is none); `minirows` spreads entry (row, box) to its three cells.
struct Tables {
  std::array<uint16_t, 512> usable{}, boxes{};
  std::array<uint32_t, 512> minirows{};

  constexpr Tables() {
    constexpr int permutations[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (unsigned pattern = 0; pattern < 512; ++pattern) {
      for (const auto& p : permutations) {
        const unsigned bits = 1u << p[0] | 8u << p[1] | 64u << p[2];
        if ((pattern & bits) == bits)
          usable[pattern] = static_cast<uint16_t>(usable[pattern] | bits);
      }
      for (unsigned entry = 0; entry < 9; ++entry)
        if (pattern >> entry & 1) minirows[pattern] |= 7u << (entry / 3 * 9 + entry % 3 * 3);
      // As a row of nine cells: which boxes it touches.
      for (unsigned box = 0; box < 3; ++box)
        if (pattern >> 3 * box & 7)
          boxes[pattern] = static_cast<uint16_t>(boxes[pattern] | 1u << box);
    }
  }
};
constexpr Tables kTables;

struct State {
  uint32_t cells[9][3];  // candidates: [digit − 1][band], bit = 9·row in band + column
  uint32_t solved[3];
  uint32_t dirty;  // digits to propagate
};

// Leaves only `cell` for `digit` in its row; propagation does the rest.
void place(State& state, int digit, int band, uint32_t bit) {
  const uint32_t row = kRow << (std::countr_zero(bit) / 9 * 9);
  state.cells[digit][band] &= ~row | bit;
  state.dirty |= 1u << digit;
}

// Brings one digit to the fixed point of both tables. False: it has no place in some unit.
bool settle(State& state, int digit) {
  uint32_t* cells = state.cells[digit];
  for (;;) {
    uint32_t before = 0, columns[3];
    for (int band = 0; band < 3; ++band) {
      const uint32_t m = cells[band];
      const uint32_t pattern = kTables.boxes[m & kRow] |
                               uint32_t{kTables.boxes[m >> 9 & kRow]} << 3 |
                               uint32_t{kTables.boxes[m >> 18]} << 6;
      const uint32_t usable = kTables.usable[pattern];
      if (usable == 0) return false;
      before |= usable ^ pattern;
      cells[band] = m & kTables.minirows[usable];
      columns[band] = (cells[band] | cells[band] >> 9 | cells[band] >> 18) & kRow;
    }
    uint32_t kept[3] = {};
    for (int stack = 0; stack < 9; stack += 3) {
      const uint32_t pattern = (columns[0] >> stack & 7) | (columns[1] >> stack & 7) << 3 |
                               (columns[2] >> stack & 7) << 6;
      const uint32_t usable = kTables.usable[pattern];
      if (usable == 0) return false;
      before |= usable ^ pattern;
      for (int band = 0; band < 3; ++band) kept[band] |= (usable >> 3 * band & 7) << stack;
    }
    if (before == 0) return true;
    for (int band = 0; band < 3; ++band) cells[band] &= kept[band] * kEveryRow;
  }
}

// Cells whose row has no other candidate for the digit.
uint32_t row_singles(uint32_t cells) {
  uint32_t singles = 0;
  for (int shift = 0; shift < 27; shift += 9) {
    const uint32_t row = cells >> shift & kRow;
    if ((row & (row - 1)) == 0) singles |= row << shift;
  }
  return singles;
}

// Settles dirty digits and takes what they solved from the others. False: contradiction.
bool settle_digits(State& state) {
  while (state.dirty != 0) {
    const int digit = std::countr_zero(state.dirty);
    state.dirty &= state.dirty - 1;
    if (!settle(state, digit)) return false;
    for (int band = 0; band < 3; ++band) {
      const uint32_t fresh = row_singles(state.cells[digit][band]) & ~state.solved[band];
      if (fresh == 0) continue;
      state.solved[band] |= fresh;
      for (int other = 0; other < 9; ++other) {
        if (other == digit || (state.cells[other][band] & fresh) == 0) continue;
        state.cells[other][band] &= ~fresh;
        state.dirty |= 1u << other;
      }
    }
  }
  return true;
}

// What counting candidates found: cells to branch on, the best kind that exists.
struct Branch {
  int band = -1;
  uint32_t bit = 0;
};

// Places naked singles. False: a cell has no candidate.
bool count_candidates(State& state, Branch& branch) {
  branch = {};
  uint32_t three = 0, many = 0;
  int three_band = -1, many_band = -1;
  for (int band = 0; band < 3; ++band) {
    uint32_t once = 0, twice = 0, thrice = 0, more = 0;
    for (const auto& digit : state.cells) {
      const uint32_t m = digit[band];
      more |= thrice & m;
      thrice |= twice & m;
      twice |= once & m;
      once |= m;
    }
    if (once != kBand) return false;
    for (uint32_t left = once & ~twice & ~state.solved[band]; left != 0; left &= left - 1) {
      const uint32_t bit = left & -left;
      for (int digit = 0; digit < 9; ++digit)
        if (state.cells[digit][band] & bit) place(state, digit, band, bit);
    }
    const uint32_t two = twice & ~thrice;
    if (two != 0 && branch.band < 0) branch = {band, two & -two};
    if ((thrice & ~more) != 0 && three_band < 0) three_band = band, three = thrice & ~more;
    if (more != 0 && many_band < 0) many_band = band, many = more;
  }
  if (branch.band < 0 && three_band >= 0) branch = {three_band, three & -three};
  if (branch.band < 0 && many_band >= 0) branch = {many_band, many & -many};
  return true;
}

bool propagate(State& state, Branch& branch) {
  do {
    if (!settle_digits(state) || !count_candidates(state, branch)) return false;
  } while (state.dirty != 0);
  return true;
}

Grid grid_of(const State& state) {
  Grid grid;
  for (int digit = 0; digit < 9; ++digit)
    for (int band = 0; band < 3; ++band)
      for (uint32_t left = state.cells[digit][band]; left != 0; left &= left - 1)
        grid[static_cast<size_t>(27 * band + std::countr_zero(left))] =
            static_cast<uint8_t>(digit + 1);
  return grid;
}

// Visits solutions below `state`; `found(state)` returns false to stop. False: stopped.
template <class Found>
bool search(State& state, const Found& found) {
  Branch branch;
  while (propagate(state, branch)) {
    if (branch.band < 0) return found(state);
    int digit = 0;
    while ((state.cells[digit][branch.band] & branch.bit) == 0) ++digit;
    State guess = state;
    place(guess, digit, branch.band, branch.bit);
    if (!search(guess, found)) return false;
    state.cells[digit][branch.band] &= ~branch.bit;
    state.dirty |= 1u << digit;
  }
  return true;
}

State start(const Grid& puzzle) {
  State state;
  for (auto& digit : state.cells)
    for (uint32_t& cells : digit) cells = kBand;
  state.solved[0] = state.solved[1] = state.solved[2] = 0;
  state.dirty = 0x1FF;
  uint32_t given[3] = {};
  for (int cell = 0; cell < 81; ++cell)
    if (puzzle[static_cast<size_t>(cell)] != 0) given[cell / 27] |= 1u << cell % 27;
  for (auto& digit : state.cells)
    for (int band = 0; band < 3; ++band) digit[band] &= ~given[band];
  for (int cell = 0; cell < 81; ++cell) {
    const uint8_t digit = puzzle[static_cast<size_t>(cell)];
    if (digit == 0) continue;
    const uint32_t bit = 1u << cell % 27;
    state.cells[digit - 1][cell / 27] |= bit;
  }
  for (int cell = 0; cell < 81; ++cell)
    if (const uint8_t digit = puzzle[static_cast<size_t>(cell)]; digit != 0)
      place(state, digit - 1, cell / 27, 1u << cell % 27);
  return state;
}

}  // namespace

void visit_solutions(const Grid& puzzle, const SolutionVisitor& visit) {
  State state = start(puzzle);
  search(state, [&](const State& solved) { return visit(grid_of(solved)); });
}

int count_solutions(const Grid& puzzle, int limit, Grid* solution) {
  int count = 0;
  State state = start(puzzle);
  search(state, [&](const State& solved) {
    if (count == 0 && solution != nullptr) *solution = grid_of(solved);
    return ++count < limit;
  });
  return count;
}

bool has_solution_without(const Grid& puzzle, int cell, int digit) {
  State state = start(puzzle);
  state.cells[digit - 1][cell / 27] &= ~(1u << cell % 27);
  return !search(state, [](const State&) { return false; });
}

}  // namespace lockstep
