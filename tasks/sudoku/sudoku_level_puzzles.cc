#include "tasks/sudoku/sudoku_level_puzzles.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr int64_t kReadAtOnce = 1024;

bool has_puzzles(const Dataset& data) {
  return std::any_of(data.arrays().begin(), data.arrays().end(),
                     [](const ArrayInfo& array) { return array.name == "puzzle"; });
}

}  // namespace

int sudoku_level(const std::string& name) {
  for (int i = 0; i < kNumSudokuLevels; ++i)
    if (name == kSudokuLevels[i].name) return i;
  throw ConfigError("unknown Sudoku level '" + name + "'",
                    "known: easy, medium, hard, minimal, extreme");
}

SudokuBoard board_at(const at::Tensor& boards, int64_t row) {
  SudokuBoard board;
  std::memcpy(board.data(), boards.const_data_ptr<uint8_t>() + row * kCells, kCells);
  return board;
}

std::vector<LevelPuzzle> puzzles_by_level(const Dataset& data,
                                          const std::vector<std::string>& levels, int64_t puzzles) {
  if (!has_puzzles(data))
    throw ConfigError("the validation data have no puzzles to solve",
                      "make them with `lockstep data make sudoku`");
  std::vector<std::vector<LevelPuzzle>> found(levels.size());
  std::vector<int> wanted_level;
  for (const std::string& level : levels) wanted_level.push_back(sudoku_level(level));
  const auto wanted = static_cast<size_t>(puzzles);
  auto full = [&] {
    return std::all_of(found.begin(), found.end(),
                       [&](const auto& items) { return items.size() == wanted; });
  };
  for (int64_t first = 0; first < data.size() && !full(); first += kReadAtOnce) {
    std::vector<int64_t> ids(static_cast<size_t>(std::min(kReadAtOnce, data.size() - first)));
    std::iota(ids.begin(), ids.end(), first);
    const Batch batch = data.read(ids);
    for (int64_t row = 0; row < batch.rows(); ++row) {
      const SudokuBoard puzzle = board_at(batch.array("puzzle"), row);
      const int level = level_of_givens(count_givens(puzzle.data()));
      for (size_t i = 0; i < found.size(); ++i)
        if (wanted_level[i] == level && found[i].size() < wanted)
          found[i].push_back({i, puzzle, board_at(batch.array("solution"), row)});
    }
  }
  std::vector<LevelPuzzle> items;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].size() < wanted)
      throw ConfigError(
          fmt::format("evaluate asks for {} puzzles of level {}, and the validation data have {}",
                      wanted, levels[i], found[i].size()),
          "lower its `puzzles`, leave the level out, or make more validation data");
    items.insert(items.end(), found[i].begin(), found[i].end());
  }
  return items;
}

}  // namespace lockstep
