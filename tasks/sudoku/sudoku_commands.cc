#include "tasks/sudoku/sudoku_commands.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/log.h"
#include "eval/sudoku_boards.h"
#include "tasks/sudoku/sudoku_puzzles_text.h"
#include "tasks/sudoku/sudoku_sampling.h"

namespace lockstep {
namespace {

constexpr size_t kMostDrawn = 64;  // boards in a picture

std::string digits(const SudokuBoard& board) {
  std::string line;
  for (uint8_t digit : board) line += static_cast<char>('0' + digit);
  return line;
}

void write_picture(const std::string& path, const std::string& heading,
                   std::vector<DrawnBoard> boards) {
  if (boards.size() > kMostDrawn) {
    log_info(fmt::format("the picture shows the first {} of {} boards", kMostDrawn, boards.size()));
    boards.resize(kMostDrawn);
  }
  write_png(path, draw_sudoku_boards({{heading, boards}}));
}

}  // namespace

bool asks_for_puzzles(const SampleRequest& request) {
  if (!request.output.empty() && !request.output.ends_with(".png"))
    throw ConfigError("--output must end in .png", "",
                      {"command line", 1, 1, "--output " + request.output});
  if (!request.has("--puzzle")) return false;
  if (request.value("--puzzle").empty())
    throw DataError("--puzzle is empty", "give 81 characters, or a file");
  return true;
}

void solve_puzzles(const SudokuPredict& predict, const SampleRequest& request) {
  const std::vector<SudokuBoard> puzzles = read_sudoku_puzzles(request.value("--puzzle"));
  const std::vector<SudokuSolution> solutions =
      solve_sudokus(predict, puzzles, request.seed, 0, {});
  std::vector<DrawnBoard> boards;
  for (size_t i = 0; i < puzzles.size(); ++i) {
    const SudokuSolution& solution = solutions[i];
    request.result(digits(solution.board));
    if (request.has("--board"))
      std::fprintf(stderr, "%s\n", draw_grid(solution.board.data()).c_str());
    const bool valid = is_solved_grid(solution.board.data());
    const std::string outcome =
        fmt::format("{} passes, confidence {:.3f}", solution.passes, solution.confidence);
    if (!valid) {
      log_warning(fmt::format("puzzle {} is not solved: the network's grid breaks the rules ({})",
                              i + 1, outcome));
    } else if (!solution.accepted) {
      log_warning(
          fmt::format("puzzle {}: a valid grid, but the network's own check did not accept it ({})",
                      i + 1, outcome));
    } else {
      log_info(fmt::format("puzzle {} solved: {}", i + 1, outcome));
    }
    boards.push_back({outcome, puzzles[i], solution.board, sudoku_conflicts(solution.board)});
  }
  if (!request.output.empty())
    write_picture(request.output, "solved by the network", std::move(boards));
}

void sample_grids(const SudokuPredict& predict, const SampleRequest& request) {
  if (request.count < 1) throw ConfigError("--count needs at least one sample");
  const std::vector<SudokuBoard> grids =
      sample_sudokus(predict, request.count, request.seed, 0, SudokuSamplingOrder::kDoubtful);
  std::vector<DrawnBoard> boards;
  int64_t valid = 0;
  for (const SudokuBoard& grid : grids) {
    request.result(digits(grid));
    if (request.has("--board")) std::fprintf(stderr, "%s\n", draw_grid(grid.data()).c_str());
    const bool fine = is_solved_grid(grid.data());
    valid += fine;
    boards.push_back({fine ? "valid" : "breaks the rules", {}, grid, sudoku_conflicts(grid)});
  }
  log_info(fmt::format("{} of {} grids keep all rules of Sudoku", valid, grids.size()));
  if (!request.output.empty())
    write_picture(request.output, "drawn from nothing", std::move(boards));
}

}  // namespace lockstep
