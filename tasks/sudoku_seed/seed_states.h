// The states of the seed's step-by-step diffusion, and what the next step reveals in each.
//
// A sequence is a solved grid with an order of its cells; state t shows the first t cells of the
// order. A sample is trained on `count` steps from state `start` on, always from the true state
// (teacher forcing), so all states are known beforehand and go through the network as one batch.
// Stored are solution and order alone (162 bytes); the seed stored all 82 states (26,568 bytes as
// int32). Steps that contribute nothing are left out before the network instead of being masked
// after it: with K ~ U{1..k_max} that is (k_max - 1)/2 of k_max steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/config/fields.h"
#include "data/sudoku/sudoku_grid.h"

namespace lockstep {

// cell = 9·row + column; a permutation of 0..80.
using CellOrder = Grid;

// States as tensors, N of them.
struct SeedStates {
  at::Tensor cells;     // u8 [N,81], 0 = masked
  at::Tensor times;     // f32 [N], t
  at::Tensor position;  // i64 [N], the cell that step t reveals
  at::Tensor value;     // i64 [N], its digit
  at::Tensor counts;    // f32 [N], 0 for padding; undefined: all count
  double steps = 0;     // ΣK: what the loss is divided by, rows without a state included
};

// Filled up with copies of the first state that do not count, to the next of `lengths` lengths up
// to `most` (a state of an empty grid if there is none): so a recorded step meets few shapes.
SeedStates padded(const SeedStates& states, int64_t most, int64_t lengths);

// Collects states one by one. Copies nothing twice; not thread-safe.
class SeedStatesBuilder {
 public:
  void add(const uint8_t* cells, int64_t time, int64_t position, int64_t value);
  // `count` steps from state `start` on of a sequence; steps past the 81st are left out, and
  // counted.
  void add_sequence(const Grid& solution, const CellOrder& order, int64_t start, int64_t count);
  void count_steps(double steps) { steps_ += steps; }
  SeedStates finish() const;

 private:
  std::vector<uint8_t> cells_;
  std::vector<float> times_;
  std::vector<int64_t> positions_, values_;
  double steps_ = 0;
};

// Where a sample starts and how many steps it takes.
struct SeedWindow {
  int64_t start = 0;  // U{0 .. 80 - k_max}: the seed's range, which leaves out the last steps
  int64_t count = 1;  // U{1 .. k_max}
};

struct SeedSequenceOptions {
  std::string order = "stored";
  bool symmetry = false;

  void fields(FieldVisitor& visit) {
    visit("order", order, OneOf{{"stored", "fresh"}},
          "order of revealed cells: that of the dataset, as the seed; fresh: a new one each use");
    visit("symmetry", symmetry, "apply a random symmetry of Sudoku to the solution at each use");
  }
};

// The window of sample `id` at `step`, by chance.
SeedWindow seed_window(uint64_t seed, int64_t id, int64_t step, int64_t k_max);
// The window of validation sample `id`, always the same: starts in turn, then counts in turn, so
// that (81 - k_max)·k_max samples hold every pair once.
SeedWindow seed_validation_window(int64_t id, int64_t k_max);
// An order by chance, from (seed, id, step).
CellOrder seed_order(uint64_t seed, int64_t id, int64_t step);

// The states of `sequences` u8 [B,82,81] at `start`, `count` (both [B]) as the seed's own loop
// finds them: the first cell in which two states differ is the position; a row whose state does not
// change drops out of that step; a step in which no row changes ends the loop.
SeedStates states_of_sequences(const at::Tensor& sequences, const std::vector<SeedWindow>& windows);

}  // namespace lockstep
