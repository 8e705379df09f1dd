#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/commands.h"
#include "data/datasets.h"
#include "data/sudoku/sudoku_grid.h"
#include "data/sudoku/sudoku_solver.h"
#include "tests/data/made_folder.h"

namespace lockstep {
namespace {

MakeSudokuOptions small() {
  MakeSudokuOptions options;
  options.train_grids = 300;
  options.puzzles_per_level = 4;
  options.samples_per_shard = 128;
  return options;
}

Grid grid_at(const Batch& batch, const char* name, int64_t row) {
  Grid grid;
  std::copy_n(batch.array(name).const_data_ptr<uint8_t>() + row * kCells, kCells, grid.begin());
  return grid;
}

Batch read_all(const fs::path& path) {
  const auto dataset = open_dataset("grids", {path.string()});
  std::vector<int64_t> ids(static_cast<size_t>(dataset->size()));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i);
  return dataset->read(ids);
}

TEST(MakeSudoku, MakesDistinctGridsAndPuzzlesOfTheirLevels) {
  MadeFolder folder;
  ASSERT_TRUE(make_sudoku(folder / "sudoku", small(), false));
  const Batch train = read_all(folder / "sudoku/train-*.h5"),
              held_out = read_all(folder / "sudoku/validation.h5");
  ASSERT_EQ(train.rows(), 300);
  ASSERT_EQ(held_out.rows(), 20);
  std::set<Grid> names;
  int minimal = 0;
  for (const Batch* batch : {&train, &held_out})
    for (int64_t row = 0; row < batch->rows(); ++row) {
      const Grid solution = grid_at(*batch, "solution", row),
                 puzzle = grid_at(*batch, "puzzle", row);
      ASSERT_TRUE(is_solved_grid(solution.data()));
      ASSERT_TRUE(is_part_of(puzzle.data(), solution.data()));
      ASSERT_EQ(count_solutions(puzzle, 2), 1);
      ASSERT_TRUE(names.insert(relabelled(solution)).second) << "a grid occurs twice";
      const int givens = count_givens(puzzle.data());
      ASSERT_EQ(batch->array("givens").const_data_ptr<uint8_t>()[row], givens);
      ASSERT_EQ(batch->array("level").const_data_ptr<uint8_t>()[row], level_of_givens(givens));
      if (batch == &train) minimal += givens < 26;
    }
  // 70 % reduced fully, nearly always below 27 (standard error 8 of 300).
  EXPECT_NEAR(minimal, 200, 35);
  for (int64_t row = 0; row < held_out.rows(); ++row) {
    EXPECT_EQ(held_out.array("level").const_data_ptr<uint8_t>()[row], row % 5);
    EXPECT_LE(held_out.array("givens").const_data_ptr<uint8_t>()[row], 40);
  }
  EXPECT_TRUE(fs::exists(folder / "sudoku/train-00002.h5"));
  EXPECT_FALSE(fs::exists(folder / "sudoku/.making"));
  EXPECT_FALSE(fs::exists(folder / "sudoku/.lock"));
}

TEST(MakeSudoku, GivesTheSameFilesForAnyNumberOfThreads) {
  MadeFolder folder;
  MakeSudokuOptions options = small();
  options.puzzles_per_level = 1;
  options.threads = 1;
  make_sudoku(folder / "one", options, false);
  options.threads = 4;
  make_sudoku(folder / "four", options, false);
  EXPECT_EQ(read_file(folder / "one/dataset.json"), read_file(folder / "four/dataset.json"));
  EXPECT_EQ(read_file(folder / "one/validation.h5"), read_file(folder / "four/validation.h5"));
  options.seed = 2;
  make_sudoku(folder / "other", options, false);
  EXPECT_NE(read_file(folder / "one/validation.h5"), read_file(folder / "other/validation.h5"));
}

TEST(MakeSudoku, DoesNothingWhenTheDataAreThere) {
  MadeFolder folder;
  MakeSudokuOptions options = small();
  options.puzzles_per_level = 1;
  EXPECT_TRUE(make_sudoku(folder.path(), options, false));
  options.threads = 3;  // no part of the recipe
  EXPECT_FALSE(make_sudoku(folder.path(), options, false));
  options.train_grids = 100;
  EXPECT_NE(data_error([&] { make_sudoku(folder.path(), options, false); }).find("overwrite=true"),
            std::string::npos);
  options.overwrite = true;
  EXPECT_TRUE(make_sudoku(folder.path(), options, false));
  EXPECT_EQ(open_dataset("grids", {(folder / "train-*.h5").string()})->size(), 100);
}

TEST(DatasetWriter, IsRedoneAfterAnInterruption) {
  MadeFolder folder;
  // What a kill in the middle leaves: shards in .making, some moved, no dataset.json.
  make_numbers(folder.path(), {10, 10});
  fs::create_directories(folder / ".making");
  fs::rename(folder / "part-1.h5", folder / ".making/part-1.h5");
  fs::rename(folder / "dataset.json", folder / ".making/dataset.json");
  data_error([&] { open_dataset("arrays", {folder.path().string()}); });
  make_numbers(folder.path(), {10, 20});
  EXPECT_EQ(open_dataset("arrays", {folder.path().string()})->size(), 30);
  EXPECT_FALSE(fs::exists(folder / ".making"));
}

TEST(DatasetWriter, LeavesAnOlderDatasetAloneUntilItIsDone) {
  MadeFolder folder;
  make_numbers(folder.path(), {10});
  {
    DatasetWriter writer(folder.path(), {"arrays", "a test", "", number_arrays()}, true);
    EXPECT_EQ(open_dataset("arrays", {folder.path().string()})->size(), 10);
    EXPECT_THROW(DatasetWriter(folder.path(), {"arrays", "a test", "", number_arrays()}, true),
                 LockedError);
  }
  EXPECT_EQ(open_dataset("arrays", {folder.path().string()})->size(), 10);
}

TEST(DatasetWriter, TouchesNoFilesThatAreNotItsOwn) {
  MadeFolder folder;
  write_file_atomic(folder / "mine.h5", "precious");
  EXPECT_NE(data_error([&] { make_numbers(folder.path(), {10}); }).find("mine.h5"),
            std::string::npos);
  EXPECT_EQ(read_file(folder / "mine.h5"), "precious");
}

}  // namespace
}  // namespace lockstep
