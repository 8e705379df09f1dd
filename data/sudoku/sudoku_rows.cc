#include "data/sudoku/sudoku_rows.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace lockstep {
namespace {

// Fewer cells are taken for a word of a header; more for a puzzle that lost some.
constexpr size_t kFewestCells = 40;

bool looks_like_cells(const std::string& text) {
  return text.size() >= kFewestCells && std::all_of(text.begin(), text.end(), is_sudoku_cell);
}

}  // namespace

bool is_sudoku_cell(char c) { return c == '.' || (c >= '0' && c <= '9'); }

std::optional<SudokuColumns> sudoku_columns(const TextRow& first) {
  // Kaggle's data sets say puzzle or quizzes, Sudoku-Extreme says question and answer.
  static const std::set<std::string> puzzles = {"puzzle",  "puzzles",  "quiz",
                                                "quizzes", "question", "questions"};
  static const std::set<std::string> solutions = {"solution", "solutions", "answer", "answers"};
  SudokuColumns columns;
  columns.separator = separator_of(first.text);
  std::vector<CsvField> fields = split_csv(first.text, columns.separator);
  if (const size_t space = fields[0].text.find(' ');
      fields.size() == 1 && looks_like_cells(fields[0].text.substr(0, space)) &&
      space != std::string::npos) {
    columns.separator = ' ';
    fields = split_csv(first.text, ' ');
  }
  if (looks_like_cells(fields[0].text)) {
    if (fields.size() > 1) columns.solution = 1;
    return columns;
  }
  columns.header = true;
  columns.puzzle = -1;
  for (size_t i = 0; i < fields.size(); ++i) {
    std::string name = fields[i].text;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    if (puzzles.contains(name))
      columns.puzzle = static_cast<int>(i);
    else if (solutions.contains(name))
      columns.solution = static_cast<int>(i);
    else
      columns.others.push_back(fields[i].text);
  }
  if (columns.puzzle < 0) return std::nullopt;
  return columns;
}

Grid parse_sudoku_cells(const CsvField& field, const char* what, bool blanks) {
  for (size_t i = 0; i < field.text.size(); ++i)
    if (!is_sudoku_cell(field.text[i])) {
      const std::string why = fmt::format("a cell of the {} is neither 1-9 nor '.' or '0'", what);
      throw BadLine{field.column + static_cast<int>(i), why, why};
    }
  if (field.text.size() != 81)
    throw BadLine{field.column, fmt::format("the {} has {} cells, not 81", what, field.text.size()),
                  fmt::format("cells of the {}", what)};
  Grid grid;
  for (size_t i = 0; i < 81; ++i) {
    grid[i] = field.text[i] == '.' ? 0 : static_cast<uint8_t>(field.text[i] - '0');
    if (grid[i] == 0 && !blanks) {
      const std::string why = fmt::format("the {} has a blank cell", what);
      throw BadLine{field.column + static_cast<int>(i), why, why};
    }
  }
  return grid;
}

}  // namespace lockstep
