#include "tasks/sudoku/sudoku_puzzles_text.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {
namespace {

constexpr size_t kFileLimit = size_t{16} << 20;

SudokuBoard parse_line(const std::string& line, const std::string& file, int number) {
  SudokuBoard board{};
  for (size_t i = 0; i < std::min(line.size(), board.size()); ++i) {
    const char c = line[i];
    if (c != '.' && !(c >= '0' && c <= '9'))
      throw DataError("a puzzle has a character that is no digit and no '.'",
                      "write 1-9, and '.' or 0 for a blank cell",
                      {file, number, static_cast<int>(i) + 1, line.substr(0, 200)});
    board[i] = c == '.' ? uint8_t{0} : static_cast<uint8_t>(c - '0');
  }
  if (line.size() != board.size())
    throw DataError(fmt::format("a puzzle has {} characters, and a grid has 81 cells", line.size()),
                    "write the nine rows one after the other",
                    {file, number, 0, line.substr(0, 200)});
  const auto conflicts = sudoku_conflicts(board);
  const auto found = std::find(conflicts.begin(), conflicts.end(), true);
  if (found != conflicts.end())
    throw DataError("a puzzle contradicts itself: a digit stands twice in a row, column or box", "",
                    {file, number, static_cast<int>(found - conflicts.begin()) + 1, line});
  return board;
}

}  // namespace

std::vector<SudokuBoard> read_sudoku_puzzles(const std::string& text) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(text, ignored)) {
    const bool looks_like_path =
        text.find('/') != std::string::npos || text.find(".txt") != std::string::npos;
    if (looks_like_path) throw DataError("no such file of puzzles", "", {text, 0, 0, ""});
    return {parse_line(text, "--puzzle", 1)};
  }
  std::vector<SudokuBoard> puzzles;
  std::istringstream lines(read_file(text, kFileLimit));
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t'))
      line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    puzzles.push_back(parse_line(line, text, number));
  }
  if (puzzles.empty())
    throw DataError("the file has no puzzle", "one puzzle of 81 characters a line",
                    {text, 0, 0, ""});
  return puzzles;
}

std::array<bool, kCells> sudoku_conflicts(const SudokuBoard& board) {
  std::array<bool, kCells> conflicts{};
  for (size_t a = 0; a < board.size(); ++a)
    for (size_t b = 0; b < board.size(); ++b) {
      const bool share =
          a / 9 == b / 9 || a % 9 == b % 9 || (a / 27 == b / 27 && a % 9 / 3 == b % 9 / 3);
      if (a != b && share && board[a] != 0 && board[a] == board[b]) conflicts[a] = true;
    }
  return conflicts;
}

}  // namespace lockstep
