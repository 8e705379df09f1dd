// Solving puzzles with a network that predicts a digit distribution per cell.
//
// Only network passes: no rule of Sudoku is consulted, neither to choose nor to check, and a
// puzzle gets at most `max_passes` of them, those of the verification included.
//
// Plain: each pass fills every blank cell whose best digit has p > fill_above, else the single
// most confident cell.
//
// Guess and check: a best-first search. Each pass fills the sure cells as above, else guesses in
// the most doubtful of the cells that have only two digits left in the network's opinion: either
// answer then settles much, whereas a chain of nearly sure guesses hides the one that was wrong.
// Each fill below `sure_above` queues the state before that pass with its second choice; a state's
// rank is the sum of log p of all its choices, and a pass that leaves it behind the best queued
// state puts it back into the queue. A complete grid is verified: the cells that were not given are
// split at random into two halves, each re-predicted from the other; it is accepted if every
// re-predicted digit has p ≥ accept_above in all splits, otherwise the best queued state is next.
//
// Decoders are state machines that ask for one prediction at a time, so that many puzzles share
// a forward pass; what one does depends on its own predictions alone.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <span>
#include <vector>

#include "tasks/sudoku/sudoku_masks.h"

namespace lockstep {

struct SudokuDecodeOptions {
  bool guess_and_check = true;
  double fill_above = 0.995;
  double sure_above = 0.9995;
  double two_above = 0.99;
  double accept_above = 0.5;
  int64_t splits = 3;
  int64_t max_passes = 81;
};

struct SudokuSolution {
  SudokuBoard board;  // complete unless the network gave no numbers
  int passes = 0;
  double confidence =
      0;  // guess and check: smallest p among the re-predicted digits; plain: among the fills
  bool accepted = false;  // guess and check: the verification passed
};

// probabilities[board][81][9] for every board.
using SudokuPredict =
    std::function<void(std::span<const SudokuBoard> boards, float* probabilities)>;

// Among the blank cells of `board` (at least one): the one with the largest probability of a digit;
// and the one whose best digit has the smallest among those whose best two add up to more than
// `two_above` (without any: the most confident one).
int most_confident_cell(const SudokuBoard& board, const float* probabilities);
int most_doubtful_cell(const SudokuBoard& board, const float* probabilities, double two_above);

class SudokuDecoder {
 public:
  // `id` keys the random splits, together with `seed`.
  SudokuDecoder(const SudokuBoard& puzzle, uint64_t seed, uint64_t id,
                const SudokuDecodeOptions& options);
  bool done() const { return done_; }
  // The board whose prediction is wanted next.
  const SudokuBoard& question() const { return question_; }
  // probabilities[81][9] for question().
  void answer(const float* probabilities);
  const SudokuSolution& solution() const { return solution_; }

 private:
  // A state to go back to: `board` before a doubtful pass, with one second choice made.
  struct Branch {
    double log_p;
    int64_t order;  // first in, first out among equals
    SudokuBoard board;
    bool operator<(const Branch& other) const {
      return log_p != other.log_p ? log_p < other.log_p : order > other.order;
    }
  };
  struct Attempt {
    SudokuBoard board;
    double smallest_p;
  };

  std::vector<int> cells_to_fill(const float* probabilities) const;
  void fill(const float* probabilities);
  void check(const float* probabilities);
  void ask_fill();
  void ask_check();
  void reject();
  void take_branch();
  void finish(const SudokuBoard& board, double confidence, bool accepted);
  void give_up();
  bool complete() const;

  SudokuDecodeOptions options_;
  SudokuBoard puzzle_, board_, question_;
  uint64_t seed_, id_;
  bool done_ = false, checking_ = false;
  int split_ = 0, half_ = 0;
  double log_p_ = 0, smallest_p_ = 1;
  std::array<bool, kCells> first_half_{};
  std::priority_queue<Branch> branches_;
  int64_t branches_made_ = 0;
  std::vector<Attempt> attempts_;
  SudokuSolution solution_;
};

// Solves all puzzles, up to `batch` of them in one forward pass; puzzle i has id first_id + i.
std::vector<SudokuSolution> solve_sudokus(const SudokuPredict& predict,
                                          std::span<const SudokuBoard> puzzles, uint64_t seed,
                                          uint64_t first_id, const SudokuDecodeOptions& options,
                                          int64_t batch = 64);

}  // namespace lockstep
