#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/config/config_node.h"
#include "core/log.h"
#include "core/progress.h"
#include "data/commands.h"
#include "data/parallel_for.h"
#include "data/sudoku/sudoku_shards.h"
#include "data/sudoku/sudoku_solver.h"
#include "data/text_rows.h"

namespace lockstep {
namespace {

constexpr size_t kLinesAtOnce = 1 << 15;  // lines solved at a time
constexpr size_t kShown = 5;              // bad lines listed in the error

// Which fields hold what; no solution column: −1.
struct Columns {
  int puzzle = 0, solution = -1;
  bool header = false;
};

// What is wrong with a line, thrown while it is parsed.
struct BadLine {
  int column;
  std::string why;
};

struct SolvedLine {
  SudokuSample sample;
  std::optional<BadLine> bad;
};

bool is_cell(char c) { return c == '.' || (c >= '0' && c <= '9'); }

bool looks_like_cells(const std::string& text) {
  return text.size() >= 40 && std::all_of(text.begin(), text.end(), is_cell);
}

Columns read_header(const TextRow& row, const std::string& file) {
  const std::vector<CsvField> fields = split_csv(row.text);
  Columns columns;
  if (looks_like_cells(fields[0].text)) {
    if (fields.size() > 1) columns.solution = 1;
    return columns;
  }
  columns.header = true;
  columns.puzzle = -1;
  std::vector<std::string> others;
  for (size_t i = 0; i < fields.size(); ++i) {
    std::string name = fields[i].text;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    if (name == "puzzle" || name == "puzzles" || name == "quiz" || name == "quizzes")
      columns.puzzle = static_cast<int>(i);
    else if (name == "solution" || name == "solutions")
      columns.solution = static_cast<int>(i);
    else
      others.push_back(fields[i].text);
  }
  if (columns.puzzle < 0)
    throw DataError(
        "the first line is neither 81 cells nor a header that names 'puzzle' or 'quizzes'",
        "give lines of 81 characters, or a header such as `puzzle,solution`",
        {file, static_cast<int>(row.number), 1, row.text.substr(0, 200)});
  if (!others.empty())
    log_info(fmt::format("{}: columns left out: {}", file, fmt::join(others, ", ")));
  return columns;
}

Grid parse_cells(const CsvField& field, const char* what, bool blanks) {
  for (size_t i = 0; i < field.text.size(); ++i)
    if (!is_cell(field.text[i]))
      throw BadLine{field.column + static_cast<int>(i),
                    fmt::format("a cell of the {} is neither 1-9 nor '.' or '0'", what)};
  if (field.text.size() != 81)
    throw BadLine{field.column,
                  fmt::format("the {} has {} cells, not 81", what, field.text.size())};
  Grid grid;
  for (size_t i = 0; i < 81; ++i) {
    grid[i] = field.text[i] == '.' ? 0 : static_cast<uint8_t>(field.text[i] - '0');
    if (grid[i] == 0 && !blanks)
      throw BadLine{field.column + static_cast<int>(i),
                    fmt::format("the {} has a blank cell", what)};
  }
  return grid;
}

SudokuSample parse_row(const TextRow& row, const Columns& columns, bool require_unique) {
  if (row.text.size() > TextRows::kLongest)
    throw BadLine{1, fmt::format("the line is longer than {} characters", TextRows::kLongest)};
  const std::vector<CsvField> fields = split_csv(row.text);
  const auto wanted = static_cast<size_t>(std::max(columns.puzzle, columns.solution)) + 1;
  if (fields.size() < wanted)
    throw BadLine{1, fmt::format("the line has {} fields, not {}", fields.size(), wanted)};
  if (!columns.header && fields.size() > wanted)
    throw BadLine{fields[wanted].column, "there is one field too many"};
  const CsvField& puzzle = fields[static_cast<size_t>(columns.puzzle)];
  SudokuSample sample;
  sample.puzzle = parse_cells(puzzle, "puzzle", true);
  const bool given = columns.solution >= 0;
  Grid solved;
  const int solutions = given && !require_unique ? 1 : count_solutions(sample.puzzle, 2, &solved);
  if (solutions == 0) throw BadLine{puzzle.column, "the puzzle has no solution"};
  if (solutions > 1) throw BadLine{puzzle.column, "the puzzle has more than one solution"};
  if (!given) {
    sample.solution = solved;
    return sample;
  }
  const CsvField& solution = fields[static_cast<size_t>(columns.solution)];
  sample.solution = parse_cells(solution, "solution", false);
  if (!is_solved_grid(sample.solution.data()))
    throw BadLine{solution.column, "the solution breaks the rules of Sudoku"};
  if (!is_part_of(sample.puzzle.data(), sample.solution.data()))
    throw BadLine{solution.column, "the solution changes a given"};
  return sample;
}

// Lines in, shards out; remembers the first bad lines and counts the others.
class Converter {
 public:
  Converter(const std::filesystem::path& input, const std::filesystem::path& folder,
            const ConvertSudokuOptions& options)
      : file_(input.string()),
        options_(options),
        rows_(input),
        writer_(folder, {"grids", "lockstep data convert sudoku-csv", "", sudoku_arrays()},
                options.overwrite) {}

  int64_t run(bool show_progress) {
    Progress progress("convert", rows_.bytes_total(), "byte", show_progress);
    std::vector<TextRow> block;
    TextRow row;
    while (rows_.next(row)) {
      if (!columns_) {
        columns_ = read_header(row, file_);
        if (columns_->header) continue;
      }
      block.push_back(std::move(row));
      if (block.size() == kLinesAtOnce) convert(block);
      progress.update(rows_.bytes_read());
    }
    convert(block);
    progress.finish();
    if (num_bad_ > 0) refuse();
    if (total_ + static_cast<int64_t>(pending_.size()) == 0)
      throw DataError("the file holds no puzzles",
                      "give lines of 81 characters or a CSV file with a header", {file_});
    if (!pending_.empty()) write(pending_.size());
    writer_.finish();
    return total_;
  }

 private:
  void convert(std::vector<TextRow>& block) {
    std::vector<SolvedLine> outcomes(block.size());
    parallel_for(
        0, static_cast<int64_t>(block.size()), num_threads(options_.threads), [&](int64_t i) {
          const auto place = static_cast<size_t>(i);
          try {
            outcomes[place].sample = parse_row(block[place], *columns_, options_.require_unique);
          } catch (BadLine& bad) {
            outcomes[place].bad = std::move(bad);
          }
        });
    for (size_t i = 0; i < block.size(); ++i) {
      if (outcomes[i].bad)
        note(block[i], *outcomes[i].bad);
      else if (num_bad_ == 0)
        pending_.push_back(outcomes[i].sample);
    }
    block.clear();
    const auto per_shard = static_cast<size_t>(options_.samples_per_shard);
    while (num_bad_ == 0 && pending_.size() >= per_shard) write(per_shard);
  }

  void write(size_t count) {
    add_sudoku_shard(writer_, shard_name(options_.prefix, shards_++), pending_.data(),
                     pending_.data() + count);
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(count));
    total_ += static_cast<int64_t>(count);
  }

  void note(const TextRow& row, const BadLine& bad) {
    if (num_bad_++ == 0)
      first_ = {file_, static_cast<int>(row.number), bad.column, row.text.substr(0, 200)};
    if (shown_.size() < kShown)
      shown_.push_back(fmt::format("{}:{}:{}: {}", file_, row.number, bad.column, bad.why));
  }

  [[noreturn]] void refuse() const {
    std::string fact = fmt::format("{} bad line{}:\n  {}", num_bad_, num_bad_ == 1 ? "" : "s",
                                   fmt::join(shown_, "\n  "));
    if (num_bad_ > shown_.size()) fact += fmt::format("\n  and {} more", num_bad_ - shown_.size());
    throw DataError(fact, "mend or remove these lines; nothing was written", first_);
  }

  std::string file_;
  ConvertSudokuOptions options_;
  TextRows rows_;
  DatasetWriter writer_;
  std::optional<Columns> columns_;
  std::vector<SudokuSample> pending_;
  int64_t total_ = 0, shards_ = 0;
  size_t num_bad_ = 0;
  std::vector<std::string> shown_;
  Place first_;
};

}  // namespace

int64_t convert_sudoku_csv(const std::filesystem::path& input, const std::filesystem::path& folder,
                           const ConvertSudokuOptions& options, bool show_progress) {
  if (!is_safe_relative(options.prefix) || options.prefix.find('/') != std::string::npos ||
      options.prefix.starts_with('.'))
    throw ConfigError("prefix '" + options.prefix + "' is not a plain file name",
                      "use letters, digits, '.', '_' and '-'");
  return Converter(input, folder, options).run(show_progress);
}

}  // namespace lockstep
