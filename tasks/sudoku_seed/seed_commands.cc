// `lockstep sample` for the seed objective.
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/log.h"
#include "eval/sudoku_boards.h"
#include "tasks/sudoku/sudoku_puzzles_text.h"
#include "tasks/sudoku_seed/seed_sampling.h"

namespace lockstep {
namespace {

constexpr size_t kMostSeedBoards = 64;  // boards in a picture

// Prints lines and boards, logs both checks, draws the picture.
void hand_out(const std::vector<Grid>& grids, const std::vector<Grid>& starts,
              const SampleRequest& request) {
  std::vector<DrawnBoard> boards;
  size_t valid = 0, passing = 0;
  for (size_t i = 0; i < grids.size(); ++i) {
    const Grid& grid = grids[i];
    std::string line;
    for (const uint8_t digit : grid) line += static_cast<char>('0' + digit);
    request.result(line);
    if (request.has("--board")) std::fprintf(stderr, "%s\n", draw_grid(grid.data()).c_str());
    const bool fine = is_solved_grid(grid.data());
    valid += fine;
    passing += passes_seed_check(grid);
    if (boards.size() < kMostSeedBoards)
      boards.push_back(
          {fine ? "valid" : "breaks the rules", starts[i], grid, sudoku_conflicts(grid)});
  }
  log_info(fmt::format("{} of {} grids keep all rules of Sudoku; {} have no digit twice in a unit",
                       valid, grids.size(), passing));
  if (!request.output.empty())
    write_png(request.output, draw_sudoku_boards({{"drawn step by step", boards}}));
}

}  // namespace

void sample_seed_grids(const SeedConv& model, const SampleRequest& request) {
  if (request.count < 1) throw ConfigError("--count needs at least one sample");
  const std::vector<Grid> starts(static_cast<size_t>(request.count), Grid{});
  hand_out(sample_seed(model, starts, request.seed, 0), starts, request);
}

void complete_seed_puzzles(const SeedConv& model, const SampleRequest& request) {
  const std::vector<SudokuBoard> puzzles = read_sudoku_puzzles(request.value("--puzzle"));
  hand_out(sample_seed(model, puzzles, request.seed, 0), puzzles, request);
}

}  // namespace lockstep
