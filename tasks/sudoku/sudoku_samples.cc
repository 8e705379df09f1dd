// Grids drawn from nothing: how many keep the rules of Sudoku, how many differ.
#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include <ATen/ATen.h>

#include "core/philox.h"
#include "eval/sudoku_boards.h"
#include "tasks/sudoku/sudoku_evaluations.h"
#include "tasks/sudoku/sudoku_predict.h"
#include "tasks/sudoku/sudoku_puzzles_text.h"
#include "tasks/sudoku/sudoku_sampling.h"

namespace lockstep {
namespace {

// 52 bits of a hash of the grid up to renamed digits and transposition: exact in a double, so that
// it can travel with the sums. Two of 1,000 grids meet by chance with probability 1e-10.
double fingerprint(const SudokuBoard& grid) {
  uint64_t hash = 0;
  for (uint8_t digit : relabelled(grid)) hash = splitmix64(hash ^ digit);
  return static_cast<double>(hash >> 12);
}

class SudokuSamples : public Evaluation {
 public:
  SudokuSamples(const SudokuSamplesOptions& options, uint64_t seed)
      : options_(options), seed_(seed) {}

  std::vector<ScoreInfo> declared_scores() const override {
    return {{"distinct", false}, {"validity", false}};
  }
  int64_t num_chunks() const override {
    return (options_.count + options_.batch - 1) / options_.batch;
  }

  // Sums: how many are valid, then one fingerprint a grid (other chunks have 0 there).
  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const int64_t first = index * options_.batch,
                  count = std::min(options_.batch, options_.count - first);
    const auto order = options_.order == "random"      ? SudokuSamplingOrder::kRandom
                       : options_.order == "confident" ? SudokuSamplingOrder::kConfident
                                                       : SudokuSamplingOrder::kDoubtful;
    const std::vector<SudokuBoard> grids =
        sample_sudokus(predict_with(as_masked_grid(model)), count, seed_,
                       static_cast<uint64_t>(first), order, options_.batch);
    EvaluationChunk result;
    result.sums.assign(static_cast<size_t>(1 + options_.count), 0);
    for (size_t i = 0; i < grids.size(); ++i) {
      result.sums[0] += is_solved_grid(grids[i].data());
      result.sums[1 + static_cast<size_t>(first) + i] = fingerprint(grids[i]);
    }
    const int64_t drawn = std::clamp<int64_t>(options_.boards - first, 0, count);
    if (drawn > 0) {
      at::Tensor boards = at::empty({drawn, kCells}, at::kByte);
      std::memcpy(boards.mutable_data_ptr(), grids.data(),
                  static_cast<size_t>(drawn) * sizeof(SudokuBoard));
      result.tensors = {boards};
    }
    return result;
  }

  Scores scores(const std::vector<double>& sums) const override {
    const std::set<double> different(sums.begin() + 1, sums.end());
    const auto count = static_cast<double>(options_.count);
    return {{"validity", sums.at(0) / count},
            {"distinct", static_cast<double>(different.size()) / count}};
  }

  bool draw(const std::vector<EvaluationChunk>& chunks,
            const std::string& png_path) const override {
    BoardGroup group{"drawn from nothing", {}};
    for (const EvaluationChunk& chunk : chunks)
      for (const at::Tensor& boards : chunk.tensors)
        for (int64_t i = 0; i < boards.size(0); ++i) {
          DrawnBoard board;
          std::memcpy(board.shown.data(), boards[i].const_data_ptr(), kCells);
          board.wrong = sudoku_conflicts(board.shown);
          board.caption = is_solved_grid(board.shown.data()) ? "valid" : "breaks the rules";
          group.boards.push_back(std::move(board));
        }
    if (group.boards.empty()) return false;
    write_png(png_path, draw_sudoku_boards({group}));
    return true;
  }

 private:
  SudokuSamplesOptions options_;
  uint64_t seed_;
};

}  // namespace

std::unique_ptr<Evaluation> make_sudoku_samples(const SudokuSamplesOptions& options,
                                                const SudokuEvaluationInput& input) {
  return std::make_unique<SudokuSamples>(options, input.context.seed);
}

}  // namespace lockstep
