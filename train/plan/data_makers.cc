#include "train/plan/data_makers.h"

#include <glob.h>

#include "data/commands.h"
#include "data/images/image_commands.h"

namespace lockstep {
namespace {

struct NoMakerOptions {
  void fields(FieldVisitor&) {}
};

class NoMaker : public DataMaker {
 public:
  std::string describe() const override { return "nothing: the files must exist"; }
  void make() const override {}
};

struct SudokuMakerOptions {
  std::string folder = "datasets/sudoku";
  MakeSudokuOptions sudoku;
  void fields(FieldVisitor& visit) {
    visit("folder", folder, "where the shards go");
    sudoku.fields(visit);
  }
};

class SudokuMaker : public DataMaker {
 public:
  explicit SudokuMaker(const SudokuMakerOptions& options) : options_(options) {}
  std::string describe() const override {
    return "sudoku grids and puzzles in " + options_.folder +
           " (as lockstep data make sudoku does)";
  }
  void make() const override {
    make_sudoku(options_.folder, options_.sudoku, /*show_progress=*/true);
  }

 private:
  SudokuMakerOptions options_;
};

struct ShapesMakerOptions {
  std::string folder = "datasets/shapes";
  MakeShapesOptions shapes;
  void fields(FieldVisitor& visit) {
    visit("folder", folder, "where the shards go");
    shapes.fields(visit);
  }
};

class ShapesMaker : public DataMaker {
 public:
  explicit ShapesMaker(const ShapesMakerOptions& options) : options_(options) {}
  std::string describe() const override {
    return "pictures of shapes in " + options_.folder + " (as lockstep data make shapes does)";
  }
  void make() const override {
    make_shapes(options_.folder, options_.shapes, /*show_progress=*/true);
  }

 private:
  ShapesMakerOptions options_;
};

struct SequencesMakerOptions {
  std::string folder = "datasets/sudoku-sequences";
  MakeSequencesOptions sequences;
  void fields(FieldVisitor& visit) {
    visit("folder", folder, "where the shards go");
    sequences.fields(visit);
  }
};

class SequencesMaker : public DataMaker {
 public:
  explicit SequencesMaker(const SequencesMakerOptions& options) : options_(options) {}
  std::string describe() const override {
    return "sudoku grids with orders in " + options_.folder +
           " (as lockstep data make sudoku-sequences does)";
  }
  void make() const override {
    make_sudoku_sequences(options_.folder, options_.sequences, /*show_progress=*/true);
  }

 private:
  SequencesMakerOptions options_;
};

bool matches_a_file(const std::string& pattern) {
  glob_t found{};
  const bool any = ::glob(pattern.c_str(), 0, nullptr, &found) == 0 && found.gl_pathc > 0;
  ::globfree(&found);
  return any;
}

}  // namespace

DataMakerTable built_in_data_makers() {
  DataMakerTable table("data maker");
  table.add<NoMakerOptions>("none", "the files must exist",
                            [](const NoMakerOptions&) { return std::make_unique<NoMaker>(); });
  table.add<SudokuMakerOptions>(
      "sudoku", "solved grids and puzzles by number of givens",
      [](const SudokuMakerOptions& options) { return std::make_unique<SudokuMaker>(options); });
  table.add<ShapesMakerOptions>(
      "shapes", "pictures of coloured shapes",
      [](const ShapesMakerOptions& options) { return std::make_unique<ShapesMaker>(options); });
  table.add<SequencesMakerOptions>(
      "sudoku_sequences", "solved grids with an order of their cells, for task.objective: seed",
      [](const SequencesMakerOptions& options) {
        return std::make_unique<SequencesMaker>(options);
      });
  return table;
}

bool files_are_missing(const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns)
    if (!matches_a_file(pattern)) return true;
  return false;
}

}  // namespace lockstep
