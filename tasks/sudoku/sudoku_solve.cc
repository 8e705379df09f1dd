// The share of held-out puzzles that the network solves, by level.
#include <algorithm>
#include <cstring>
#include <numeric>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "eval/sudoku_boards.h"
#include "tasks/sudoku/sudoku_decode.h"
#include "tasks/sudoku/sudoku_evaluations.h"
#include "tasks/sudoku/sudoku_level_puzzles.h"
#include "tasks/sudoku/sudoku_predict.h"

namespace lockstep {
namespace {

class SudokuSolve : public Evaluation {
 public:
  SudokuSolve(const SudokuSolveOptions& options, const Dataset& data, uint64_t seed)
      : options_(options),
        seed_(seed),
        items_(puzzles_by_level(data, options.levels, options.puzzles)) {}

  std::vector<ScoreInfo> declared_scores() const override {
    return declare(scores(std::vector<double>(options_.levels.size() * kSums * 2)),
                   {"passes", "passes_plain"});
  }

  int64_t num_chunks() const override {
    return (static_cast<int64_t>(items_.size()) + options_.batch - 1) / options_.batch;
  }

  // Sums: per level, per decoder {puzzles, solved, passes}; guess and check first. Tensors: the
  // puzzle, what was filled in, the solution of the first boards of each level, u8 [n, 3, 81], and
  // their levels [n].
  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const auto first = static_cast<size_t>(index * options_.batch);
    const size_t count = std::min(static_cast<size_t>(options_.batch), items_.size() - first);
    std::vector<SudokuBoard> puzzles;
    for (size_t i = first; i < first + count; ++i) puzzles.push_back(items_[i].puzzle);
    const SudokuPredict predict = predict_with(as_masked_grid(model));
    EvaluationChunk result;
    result.sums.assign(options_.levels.size() * kSums * 2, 0);
    std::vector<SudokuSolution> shown;
    for (const bool guess : {true, false}) {
      if (!runs(guess)) continue;
      SudokuDecodeOptions decode;
      decode.guess_and_check = guess;
      decode.max_passes = options_.max_passes;
      const std::vector<SudokuSolution> solutions =
          solve_sudokus(predict, puzzles, seed_, first, decode, options_.batch);
      for (size_t i = 0; i < count; ++i) {
        double* sums = result.sums.data() + (items_[first + i].level * 2 + (guess ? 0 : 1)) * kSums;
        sums[0] += 1;
        sums[1] += solutions[i].board == items_[first + i].solution;
        sums[2] += solutions[i].passes;
      }
      if (shown.empty()) shown = solutions;
    }
    keep_boards(first, shown, result);
    return result;
  }

  Scores scores(const std::vector<double>& sums) const override {
    Scores scores;
    for (size_t level = 0; level < options_.levels.size(); ++level)
      for (const bool guess : {true, false}) {
        const double* s = sums.data() + (level * 2 + (guess ? 0 : 1)) * kSums;
        if (!runs(guess)) continue;
        const std::string plain = guess ? "" : "_plain";
        scores["solve_rate" + plain + "." + options_.levels[level]] = s[1] / s[0];
        scores["passes" + plain + "." + options_.levels[level]] = s[2] / s[0];
      }
    return scores;
  }

  bool draw(const std::vector<EvaluationChunk>& chunks,
            const std::string& png_path) const override {
    if (options_.boards == 0) return false;
    std::vector<BoardGroup> groups;
    for (const std::string& level : options_.levels)
      groups.push_back({fmt::format("{}: {} givens", level, givens_text(level)), {}});
    for (const EvaluationChunk& chunk : chunks) {
      if (chunk.tensors.empty()) continue;
      const at::Tensor boards = chunk.tensors[0].contiguous(), levels = chunk.tensors[1];
      for (int64_t i = 0; i < boards.size(0); ++i) {
        DrawnBoard board{"", board_at(boards, 3 * i), board_at(boards, 3 * i + 1), {}};
        const SudokuBoard solution = board_at(boards, 3 * i + 2);
        for (size_t cell = 0; cell < solution.size(); ++cell)
          board.wrong[cell] = board.shown[cell] != solution[cell];
        const auto wrong = std::count(board.wrong.begin(), board.wrong.end(), true);
        board.caption = fmt::format("{} givens: {}", count_givens(board.given.data()),
                                    wrong == 0 ? "solved" : fmt::format("{} wrong", wrong));
        groups.at(static_cast<size_t>(levels[i].item<int64_t>()))
            .boards.push_back(std::move(board));
      }
    }
    write_png(png_path, draw_sudoku_boards(groups));
    return true;
  }

 private:
  static constexpr size_t kSums = 3;

  bool runs(bool guess) const {
    return options_.decoder == "both" || (options_.decoder == "guess_and_check") == guess;
  }

  static std::string givens_text(const std::string& name) {
    const SudokuLevel& level = kSudokuLevels[sudoku_level(name)];
    return fmt::format("{}-{}", level.fewest, level.most);
  }

  void keep_boards(size_t first, const std::vector<SudokuSolution>& shown,
                   EvaluationChunk& result) const {
    std::vector<SudokuBoard> boards;
    std::vector<int64_t> levels;
    for (size_t i = 0; i < shown.size(); ++i) {
      const LevelPuzzle& item = items_[first + i];
      const auto place_in_level =
          static_cast<int64_t>(first + i) - static_cast<int64_t>(item.level) * options_.puzzles;
      if (place_in_level >= options_.boards) continue;
      boards.insert(boards.end(), {item.puzzle, shown[i].board, item.solution});
      levels.push_back(static_cast<int64_t>(item.level));
    }
    if (levels.empty()) return;
    at::Tensor tensor = at::empty({static_cast<int64_t>(levels.size()), 3, kCells}, at::kByte);
    std::memcpy(tensor.mutable_data_ptr(), boards.data(), boards.size() * sizeof(SudokuBoard));
    result.tensors = {tensor, at::tensor(levels, at::kLong)};
  }

  SudokuSolveOptions options_;
  uint64_t seed_;
  std::vector<LevelPuzzle> items_;
};

}  // namespace

std::unique_ptr<Evaluation> make_sudoku_solve(const SudokuSolveOptions& options,
                                              const SudokuEvaluationInput& input) {
  if (input.validation == nullptr)
    throw ConfigError("evaluation solve needs validation data", "set data.validation");
  for (const std::string& level : options.levels) sudoku_level(level);
  return std::make_unique<SudokuSolve>(options, *input.validation, input.context.seed);
}

}  // namespace lockstep
