#include "tasks/sudoku/sudoku_decode.h"

#include <algorithm>
#include <cmath>

#include "core/philox.h"

namespace lockstep {
namespace {

// The two most likely digits (0-based) of a cell.
struct Choices {
  int first, second;
};

Choices best_two(const float* p) {
  Choices c{0, 1};
  if (p[1] > p[0]) c = {1, 0};
  for (int d = 2; d < 9; ++d) {
    if (p[d] > p[c.first]) {
      c = {d, c.first};
    } else if (p[d] > p[c.second]) {
      c.second = d;
    }
  }
  return c;
}

double log_of(float p) { return std::log(std::max(double(p), 1e-30)); }

}  // namespace

int most_confident_cell(const SudokuBoard& board, const float* probabilities) {
  int chosen = -1;
  float largest = -1;
  for (int cell = 0; cell < kCells; ++cell) {
    if (board[size_t(cell)] != 0) continue;
    const float* p = probabilities + cell * 9;
    const float best = p[best_two(p).first];
    if (chosen < 0 || best > largest) {
      largest = best;
      chosen = cell;
    }
  }
  return chosen;
}

int most_doubtful_cell(const SudokuBoard& board, const float* probabilities, double two_above) {
  int chosen = -1;
  float smallest = 2;
  for (int cell = 0; cell < kCells; ++cell) {
    if (board[size_t(cell)] != 0) continue;
    const float* p = probabilities + cell * 9;
    const Choices choice = best_two(p);
    if (p[choice.first] + p[choice.second] > two_above && p[choice.first] < smallest) {
      smallest = p[choice.first];
      chosen = cell;
    }
  }
  return chosen < 0 ? most_confident_cell(board, probabilities) : chosen;
}

SudokuDecoder::SudokuDecoder(const SudokuBoard& puzzle, uint64_t seed, uint64_t id,
                             const SudokuDecodeOptions& options)
    : options_(options), puzzle_(puzzle), board_(puzzle), seed_(seed), id_(id) {
  if (complete()) {
    finish(board_, 1, true);
  } else if (options_.max_passes == 0) {
    give_up();
  } else {
    ask_fill();
  }
}

bool SudokuDecoder::complete() const {
  return std::find(board_.begin(), board_.end(), 0) == board_.end();
}

void SudokuDecoder::ask_fill() {
  checking_ = false;
  question_ = board_;
}

// Hides the half that is to be re-predicted; a new split is drawn before its first half.
void SudokuDecoder::ask_check() {
  checking_ = true;
  if (half_ == 0) {
    std::vector<size_t> order;
    for (size_t cell = 0; cell < puzzle_.size(); ++cell)
      if (puzzle_[cell] == 0) order.push_back(cell);
    const Stream stream(seed_, Purpose::kVerification);
    const auto step =
        static_cast<uint32_t>(attempts_.size() * static_cast<size_t>(options_.splits)) +
        static_cast<uint32_t>(split_);
    for (size_t i = 0; i + 1 < order.size(); ++i)
      std::swap(order[i],
                order[i + stream.below(id_, step, i, static_cast<uint32_t>(order.size() - i))]);
    first_half_.fill(false);
    for (size_t i = 0; i < (order.size() + 1) / 2; ++i) first_half_[order[i]] = true;
  }
  question_ = board_;
  for (size_t cell = 0; cell < puzzle_.size(); ++cell)
    if (puzzle_[cell] == 0 && first_half_[cell] == (half_ == 0)) question_[cell] = 0;
}

void SudokuDecoder::answer(const float* probabilities) {
  ++solution_.passes;
  if (checking_) {
    check(probabilities);
  } else {
    fill(probabilities);
  }
}

// What a pass fills: the sure cells, else one.
std::vector<int> SudokuDecoder::cells_to_fill(const float* probabilities) const {
  std::vector<int> sure;
  for (int cell = 0; cell < kCells; ++cell) {
    const float* p = probabilities + cell * 9;
    if (board_[size_t(cell)] == 0 && p[best_two(p).first] > options_.fill_above)
      sure.push_back(cell);
  }
  if (!sure.empty()) return sure;
  return {options_.guess_and_check ? most_doubtful_cell(board_, probabilities, options_.two_above)
                                   : most_confident_cell(board_, probabilities)};
}

void SudokuDecoder::fill(const float* probabilities) {
  const SudokuBoard before = board_;
  const std::vector<int> cells = cells_to_fill(probabilities);
  const bool last = solution_.passes >= options_.max_passes;
  const double log_p_before = log_p_;
  for (int cell : cells) {
    const float* p = probabilities + cell * 9;
    const Choices choice = best_two(p);
    board_[size_t(cell)] = static_cast<uint8_t>(choice.first + 1);
    smallest_p_ = std::min(smallest_p_, double(p[choice.first]));
    if (options_.guess_and_check && p[choice.first] < options_.sure_above) {
      Branch branch{log_p_before + log_of(p[choice.second]), branches_made_++, before};
      branch.board[size_t(cell)] = static_cast<uint8_t>(choice.second + 1);
      branches_.push(branch);
    }
    log_p_ += log_of(p[choice.first]);
  }
  if (!complete()) {
    if (!last && !branches_.empty() && branches_.top().log_p > log_p_) {
      branches_.push({log_p_, branches_made_++, board_});
      return take_branch();
    }
    if (!last) return ask_fill();
    for (int cell = 0; cell < kCells; ++cell)  // out of passes: the best guess for the rest
      if (board_[size_t(cell)] == 0)
        board_[size_t(cell)] = static_cast<uint8_t>(best_two(probabilities + cell * 9).first + 1);
    return give_up();
  }
  if (!options_.guess_and_check || options_.splits == 0) return finish(board_, smallest_p_, false);
  const bool tried =
      std::any_of(attempts_.begin(), attempts_.end(),
                  [this](const Attempt& attempt) { return attempt.board == board_; });
  if (tried) return reject();
  if (last) return give_up();
  split_ = half_ = 0;
  smallest_p_ = 1;
  ask_check();
}

void SudokuDecoder::check(const float* probabilities) {
  for (size_t cell = 0; cell < puzzle_.size(); ++cell)
    if (question_[cell] == 0)
      smallest_p_ = std::min(smallest_p_, double(probabilities[cell * 9 + board_[cell] - 1]));
  const bool refused = !(smallest_p_ >= options_.accept_above);
  if (!refused) {
    half_ ^= 1;
    split_ += half_ == 0;
    if (split_ == options_.splits) return finish(board_, smallest_p_, true);
    if (solution_.passes < options_.max_passes) return ask_check();
    return finish(board_, smallest_p_, false);  // nothing spoke against it so far
  }
  attempts_.push_back({board_, smallest_p_});
  reject();
}

void SudokuDecoder::reject() {
  if (branches_.empty() || solution_.passes >= options_.max_passes) return give_up();
  take_branch();
}

// Goes on from the most likely state that waits.
void SudokuDecoder::take_branch() {
  board_ = branches_.top().board;
  log_p_ = branches_.top().log_p;
  branches_.pop();
  smallest_p_ = 1;
  if (!complete()) return ask_fill();
  split_ = half_ = 0;
  ask_check();
}

// The attempt that the verification disliked least, or what there is.
void SudokuDecoder::give_up() {
  const auto best = std::max_element(
      attempts_.begin(), attempts_.end(),
      [](const Attempt& a, const Attempt& b) { return a.smallest_p < b.smallest_p; });
  if (best == attempts_.end()) return finish(board_, 0, false);
  finish(best->board, best->smallest_p, false);
}

void SudokuDecoder::finish(const SudokuBoard& board, double confidence, bool accepted) {
  solution_.board = board;
  solution_.confidence = confidence;
  solution_.accepted = accepted;
  done_ = true;
}

std::vector<SudokuSolution> solve_sudokus(const SudokuPredict& predict,
                                          std::span<const SudokuBoard> puzzles, uint64_t seed,
                                          uint64_t first_id, const SudokuDecodeOptions& options,
                                          int64_t batch) {
  std::vector<SudokuSolution> solutions(puzzles.size());
  std::vector<std::pair<size_t, SudokuDecoder>> live;
  std::vector<SudokuBoard> questions;
  std::vector<float> probabilities;
  size_t next = 0;
  while (next < puzzles.size() || !live.empty()) {
    while (next < puzzles.size() && live.size() < static_cast<size_t>(batch)) {
      live.emplace_back(next, SudokuDecoder(puzzles[next], seed, first_id + next, options));
      ++next;
    }
    questions.clear();
    for (auto& [index, decoder] : live)
      if (!decoder.done()) questions.push_back(decoder.question());
    probabilities.resize(questions.size() * kCells * 9);
    if (!questions.empty()) predict(questions, probabilities.data());
    const float* p = probabilities.data();
    for (auto& [index, decoder] : live) {
      if (!decoder.done()) {
        decoder.answer(p);
        p += kCells * 9;
      }
      if (decoder.done()) solutions[index] = decoder.solution();
    }
    std::erase_if(live, [](const auto& entry) { return entry.second.done(); });
  }
  return solutions;
}

}  // namespace lockstep
