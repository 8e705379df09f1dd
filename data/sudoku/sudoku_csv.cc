#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/config/config_node.h"
#include "core/log.h"
#include "core/progress.h"
#include "data/commands.h"
#include "data/parallel_for.h"
#include "data/sudoku/sudoku_rows.h"
#include "data/sudoku/sudoku_shards.h"
#include "data/sudoku/sudoku_solver.h"

namespace lockstep {
namespace {

constexpr size_t kLinesAtOnce = 1 << 15;  // lines solved at a time

struct SolvedLine {
  SudokuSample sample;
  std::optional<BadLine> bad;
};

SudokuColumns columns_of(const TextRow& row, const std::string& file) {
  const std::optional<SudokuColumns> columns = sudoku_columns(row);
  if (!columns)
    throw DataError(
        "the first line is neither 81 cells nor a header that names 'puzzle', 'quizzes' or "
        "'question'",
        "give lines of 81 characters, or a header such as `puzzle,solution`",
        {file, static_cast<int>(row.number), 1, row.text.substr(0, 200)});
  if (!columns->others.empty())
    log_info(fmt::format("{}: columns left out: {}", file, fmt::join(columns->others, ", ")));
  return *columns;
}

// A fault whose words say all, so that they are its kind too.
BadLine fault(int column, const std::string& why) { return {column, why, why}; }

constexpr const char* kAmbiguous = "the puzzle has more than one solution";

SudokuSample parse_row(const TextRow& row, const SudokuColumns& columns, bool require_unique) {
  if (row.text.size() > TextRows::kLongest)
    throw fault(1, fmt::format("the line is longer than {} characters", TextRows::kLongest));
  const std::vector<CsvField> fields = split_csv(row.text, columns.separator);
  const auto wanted = static_cast<size_t>(std::max(columns.puzzle, columns.solution)) + 1;
  if (fields.size() < wanted)
    throw BadLine{1, fmt::format("the line has {} fields, not {}", fields.size(), wanted),
                  "fields of the line"};
  if (!columns.header && fields.size() > wanted)
    throw fault(fields[wanted].column, "there is one field too many");
  const CsvField& puzzle = fields[static_cast<size_t>(columns.puzzle)];
  SudokuSample sample;
  sample.puzzle = parse_sudoku_cells(puzzle, "puzzle", true);
  const bool given = columns.solution >= 0;
  Grid solved;
  const int solutions = given && !require_unique ? 1 : count_solutions(sample.puzzle, 2, &solved);
  if (solutions == 0) throw fault(puzzle.column, "the puzzle has no solution");
  if (solutions > 1) throw fault(puzzle.column, kAmbiguous);
  if (!given) {
    sample.solution = solved;
    return sample;
  }
  const CsvField& solution = fields[static_cast<size_t>(columns.solution)];
  sample.solution = parse_sudoku_cells(solution, "solution", false);
  if (!is_solved_grid(sample.solution.data()))
    throw fault(solution.column, "the solution breaks the rules of Sudoku");
  if (!is_part_of(sample.puzzle.data(), sample.solution.data()))
    throw fault(solution.column, "the solution changes a given");
  return sample;
}

// Puzzles that wait to be written as shards of one prefix.
class PuzzleShards {
 public:
  PuzzleShards(std::string prefix, int64_t per_shard)
      : prefix_(std::move(prefix)), per_shard_(static_cast<size_t>(per_shard)) {}

  void add(const SudokuSample& sample) { pending_.push_back(sample); }
  int64_t total() const { return written_ + static_cast<int64_t>(pending_.size()); }
  void write_full(DatasetWriter& writer) {
    while (pending_.size() >= per_shard_) write(writer, per_shard_);
  }
  void write_all(DatasetWriter& writer) {
    write_full(writer);
    if (!pending_.empty()) write(writer, pending_.size());
  }

 private:
  void write(DatasetWriter& writer, size_t count) {
    add_sudoku_shard(writer, shard_name(prefix_, shards_++), pending_.data(),
                     pending_.data() + count);
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(count));
    written_ += static_cast<int64_t>(count);
  }

  std::string prefix_;
  size_t per_shard_;
  std::vector<SudokuSample> pending_;
  int64_t written_ = 0, shards_ = 0;
};

// Lines in, shards out; remembers the first bad lines and counts the others.
class Converter {
 public:
  Converter(const std::filesystem::path& input, const std::filesystem::path& folder,
            const ConvertSudokuOptions& options)
      : file_(input.string()),
        options_(options),
        rows_(input),
        writer_(folder,
                {"grids", "lockstep data convert sudoku-csv", "", sudoku_arrays(), 256, 0,
                 split_prefixes(options.prefix, options.validation)},
                options.overwrite),
        kept_(options.prefix, options.samples_per_shard),
        held_out_(kHeldOutPrefix, options.samples_per_shard) {}

  int64_t run(bool show_progress) {
    Progress progress("convert", rows_.bytes_total(), "byte", show_progress);
    std::vector<TextRow> block;
    TextRow row;
    while (rows_.next(row)) {
      if (!columns_) {
        columns_ = columns_of(row, file_);
        if (columns_->header) continue;
      }
      block.push_back(std::move(row));
      if (block.size() == kLinesAtOnce) convert(block);
      progress.update(rows_.bytes_read());
    }
    convert(block);
    progress.finish();
    if (num_bad_ > 0) refuse();
    const int64_t kept = kept_.total(), held_out = held_out_.total();
    if (kept + held_out == 0)
      throw DataError("the file holds no puzzles",
                      "give lines of 81 characters or a CSV file with a header", {file_});
    check_split(kept, held_out, options_.validation, file_);
    kept_.write_all(writer_);
    held_out_.write_all(writer_);
    total_ = kept + held_out;
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
        (is_held_out(next_++, options_.validation) ? held_out_ : kept_).add(outcomes[i].sample);
    }
    block.clear();
    if (num_bad_ > 0) return;
    kept_.write_full(writer_);
    held_out_.write_full(writer_);
  }

  void note(const TextRow& row, const BadLine& bad) {
    if (num_bad_++ == 0)
      first_ = {file_, static_cast<int>(row.number), bad.column, row.text.substr(0, 200)};
    ambiguous_ |= bad.kind == kAmbiguous && columns_->solution >= 0;
    for (Fault& known : faults_)
      if (known.kind == bad.kind) {
        ++known.lines;
        return;
      }
    faults_.push_back(
        {bad.kind, fmt::format("{}:{}:{}: {}", file_, row.number, bad.column, bad.why), 1});
  }

  // One example of each kind of fault, in the order in which the kinds were met.
  [[noreturn]] void refuse() const {
    std::string fact = fmt::format("{} bad line{}:", num_bad_, num_bad_ == 1 ? "" : "s");
    for (const Fault& known : faults_) {
      fact += "\n  " + known.example;
      if (known.lines > 1)
        fact += fmt::format(" (and {} more line{} of this kind)", known.lines - 1,
                            known.lines == 2 ? "" : "s");
    }
    throw DataError(fact,
                    ambiguous_ ? "mend or remove these lines; require_unique=false takes puzzles "
                                 "with more than one solution; nothing was written"
                               : "mend or remove these lines; nothing was written",
                    first_);
  }

  struct Fault {
    std::string kind, example;
    size_t lines;
  };

  std::string file_;
  ConvertSudokuOptions options_;
  TextRows rows_;
  DatasetWriter writer_;
  std::optional<SudokuColumns> columns_;
  PuzzleShards kept_, held_out_;
  int64_t total_ = 0, next_ = 0;
  size_t num_bad_ = 0;
  std::vector<Fault> faults_;
  bool ambiguous_ = false;  // a puzzle with a given solution has more than one
  Place first_;
};

}  // namespace

int64_t convert_sudoku_csv(const std::filesystem::path& input, const std::filesystem::path& folder,
                           const ConvertSudokuOptions& options, bool show_progress) {
  return Converter(input, folder, options).run(show_progress);
}

}  // namespace lockstep
