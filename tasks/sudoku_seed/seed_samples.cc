// Grids drawn step by step: how many are valid, by the strict check and by the seed's own.
#include <algorithm>
#include <cstring>

#include <ATen/ATen.h>

#include "eval/sudoku_boards.h"
#include "tasks/sudoku/sudoku_level_puzzles.h"
#include "tasks/sudoku/sudoku_puzzles_text.h"
#include "tasks/sudoku_seed/seed_evaluations.h"
#include "tasks/sudoku_seed/seed_sampling.h"
#include "tasks/sudoku_seed/seed_task.h"

namespace lockstep {
namespace {

class SeedSamples : public Evaluation {
 public:
  SeedSamples(const SeedSamplesOptions& options, uint64_t seed) : options_(options), seed_(seed) {}

  std::vector<ScoreInfo> declared_scores() const override {
    return declare(scores({0, 0, 0}), {"masked_cells"});
  }
  int64_t num_chunks() const override {
    return (options_.count + options_.batch - 1) / options_.batch;
  }

  // Sums: grids that are valid, grids that pass the seed's check, masked cells left over.
  EvaluationChunk chunk(Model& model, int64_t index) const override {
    const int64_t first = index * options_.batch,
                  count = std::min(options_.batch, options_.count - first);
    const std::vector<Grid> grids =
        sample_seed(as_seed_conv(model), std::vector<Grid>(size_t(count), Grid{}), seed_,
                    static_cast<uint64_t>(first), options_.batch);
    EvaluationChunk result;
    result.sums = {0, 0, 0};
    for (const Grid& grid : grids) {
      result.sums[0] += is_solved_grid(grid.data());
      result.sums[1] += passes_seed_check(grid);
      result.sums[2] += static_cast<double>(kCells - count_givens(grid.data()));
    }
    const int64_t drawn = std::clamp<int64_t>(options_.boards - first, 0, count);
    if (drawn > 0) {
      at::Tensor boards = at::empty({drawn, kCells}, at::kByte);
      std::memcpy(boards.mutable_data_ptr(), grids.data(),
                  static_cast<size_t>(drawn) * sizeof(Grid));
      result.tensors = {boards};
    }
    return result;
  }

  Scores scores(const std::vector<double>& sums) const override {
    const auto count = static_cast<double>(options_.count);
    return {{"validity", sums.at(0) / count},
            {"validity_seed", sums.at(1) / count},
            {"masked_cells", sums.at(2) / count}};
  }

  bool draw(const std::vector<EvaluationChunk>& chunks,
            const std::string& png_path) const override {
    BoardGroup group{"drawn step by step", {}};
    for (const EvaluationChunk& chunk : chunks)
      for (const at::Tensor& boards : chunk.tensors)
        for (int64_t i = 0; i < boards.size(0); ++i) {
          const Grid grid = board_at(boards, i);
          group.boards.push_back({is_solved_grid(grid.data()) ? "valid" : "breaks the rules",
                                  {},
                                  grid,
                                  sudoku_conflicts(grid)});
        }
    if (group.boards.empty()) return false;
    write_png(png_path, draw_sudoku_boards({group}));
    return true;
  }

 private:
  SeedSamplesOptions options_;
  uint64_t seed_;
};

}  // namespace

std::unique_ptr<Evaluation> make_seed_samples(const SeedSamplesOptions& options,
                                              const SeedEvaluationInput& input) {
  return std::make_unique<SeedSamples>(options, input.context.seed);
}

}  // namespace lockstep
