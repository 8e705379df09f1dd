#include "tasks/sudoku/sudoku_puzzles_text.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"
#include "core/user_path.h"
#include "data/sudoku/sudoku_rows.h"

namespace lockstep {
namespace {

constexpr size_t kFileLimit = size_t{16} << 20;

// `puzzle` is a line, or the field of a line that starts at its column.
SudokuBoard parse_line(const CsvField& puzzle, const std::string& file, int number) {
  const std::string& line = puzzle.text;
  SudokuBoard board{};
  for (size_t i = 0; i < std::min(line.size(), board.size()); ++i) {
    const char c = line[i];
    if (!is_sudoku_cell(c))
      throw DataError("a puzzle has a character that is no digit and no '.'",
                      "write 1-9, and '.' or 0 for a blank cell",
                      {file, number, static_cast<int>(i) + puzzle.column, line.substr(0, 200)});
    board[i] = c == '.' ? uint8_t{0} : static_cast<uint8_t>(c - '0');
  }
  if (line.size() != board.size())
    throw DataError(fmt::format("a puzzle has {} characters, and a grid has 81 cells", line.size()),
                    "write the nine rows one after the other",
                    {file, number, 0, line.substr(0, 200)});
  const auto conflicts = sudoku_conflicts(board);
  const auto found = std::find(conflicts.begin(), conflicts.end(), true);
  if (found != conflicts.end())
    throw DataError(
        "a puzzle contradicts itself: a digit stands twice in a row, column or box", "",
        {file, number, static_cast<int>(found - conflicts.begin()) + puzzle.column, line});
  return board;
}

std::vector<SudokuBoard> read_file_of_puzzles(const std::string& file) {
  TextRows rows(file);
  std::vector<SudokuBoard> puzzles;
  std::optional<SudokuColumns> columns;
  size_t bytes = 0;
  bool first = true;
  for (TextRow row; rows.next(row);) {
    if (row.text[0] == '#') continue;
    if ((bytes += row.text.size()) > kFileLimit)
      throw DataError(fmt::format("the puzzles have more than {} characters", kFileLimit),
                      "give fewer at a time", {file});
    if (first) columns = sudoku_columns(row);
    const bool names = first && columns && columns->header;
    first = false;
    if (names) continue;
    // A line that is neither a header nor cells is told by its own fault.
    std::vector<CsvField> fields =
        split_csv(row.text, columns ? columns->separator : separator_of(row.text));
    const size_t place = columns ? static_cast<size_t>(columns->puzzle) : 0;
    if (place >= fields.size())
      throw DataError(fmt::format("the line has {} fields and no puzzle", fields.size()), "",
                      {file, static_cast<int>(row.number), 0, row.text.substr(0, 200)});
    puzzles.push_back(parse_line(fields[place], file, static_cast<int>(row.number)));
  }
  if (puzzles.empty())
    throw DataError("the file has no puzzle", "one puzzle of 81 characters a line",
                    {file, 0, 0, ""});
  return puzzles;
}

}  // namespace

std::vector<SudokuBoard> read_sudoku_puzzles(const std::string& text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  std::error_code ignored;
  const std::string path = user_path(text);
  if (fs::exists(path, ignored)) return read_file_of_puzzles(path);
  const bool looks_like_path = text.find('/') != std::string::npos ||
                               text.find(".txt") != std::string::npos ||
                               text.find(".csv") != std::string::npos || text.ends_with(".gz");
  if (looks_like_path) throw DataError("no such file of puzzles", "", {path, 0, 0, ""});
  return {
      parse_line({text.starts_with(kMark) ? text.substr(kMark.size()) : text, 1}, "--puzzle", 1)};
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
