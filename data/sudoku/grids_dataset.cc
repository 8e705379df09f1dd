#include "data/sudoku/grids_dataset.h"

#include <algorithm>
#include <bitset>

#include <fmt/format.h>

#include "data/shards/checked_dataset.h"
#include "data/sudoku/sudoku_grid.h"

namespace lockstep {
namespace {

void check_grid_arrays(const ShardList& list) {
  const Place place{index_path(list.shards[0].path.parent_path()).string()};
  const char* help =
      "make Sudoku data with `lockstep data make sudoku`, or convert with `lockstep data convert "
      "sudoku-csv`";
  if (list.kind != "grids")
    throw DataError(fmt::format("the dataset's kind is '{}', not 'grids'", list.kind), help, place);
  bool has_solution = false;
  for (const ArrayInfo& array : list.arrays) {
    const bool cells = array.name == "solution" || array.name == "puzzle" || array.name == "order";
    const bool number = array.name == "level" || array.name == "givens";
    const std::vector<int64_t> shape =
        cells ? std::vector<int64_t>{kCells} : std::vector<int64_t>{};
    if ((cells || number) && (array.dtype != at::kByte || array.shape != shape || array.ragged))
      throw DataError(fmt::format("array '{}' is not u8 [{}]", array.name, cells ? "81" : ""), help,
                      place);
    has_solution |= array.name == "solution";
  }
  if (!has_solution) throw DataError("the dataset has no array 'solution'", help, place);
}

class GridsDataset final : public CheckedDataset {
 public:
  using CheckedDataset::CheckedDataset;

  void check_samples(const Batch& batch) const override {
    const auto* solutions = batch.array("solution").const_data_ptr<uint8_t>();
    const bool puzzled = batch.arrays.contains("puzzle");
    const uint8_t* puzzles = puzzled ? batch.array("puzzle").const_data_ptr<uint8_t>() : nullptr;
    for (size_t row = 0; row < batch.ids.size(); ++row) {
      if (batch.ids[row] < 0) continue;
      const uint8_t* solution = solutions + row * kCells;
      if (!is_solved_grid(solution))
        refuse(batch.ids[row], "its solution breaks the rules of Sudoku");
      if (puzzled && !is_part_of(puzzles + row * kCells, solution))
        refuse(batch.ids[row], "its puzzle has a given that its solution has not");
    }
  }

 private:
  void check(Batch& batch) const override {
    check_range(batch, "solution", 1);
    if (batch.arrays.contains("puzzle")) check_range(batch, "puzzle", 0);
    if (batch.arrays.contains("order")) check_orders(batch);
  }

  // Digits go into embeddings and shifts, so their range is checked on every read.
  void check_range(const Batch& batch, const std::string& name, uint8_t low) const {
    const auto* cells = batch.array(name).const_data_ptr<uint8_t>();
    for (size_t row = 0; row < batch.ids.size(); ++row) {
      if (batch.ids[row] < 0) continue;
      const uint8_t* first = cells + row * kCells;
      if (!std::all_of(first, first + kCells,
                       [low](uint8_t cell) { return cell >= low && cell <= 9; }))
        refuse(batch.ids[row], fmt::format("a cell of '{}' is not {} to 9", name, low));
    }
  }

  // Orders index cells, so they are checked on every read as well.
  void check_orders(const Batch& batch) const {
    const auto* orders = batch.array("order").const_data_ptr<uint8_t>();
    for (size_t row = 0; row < batch.ids.size(); ++row) {
      if (batch.ids[row] < 0) continue;
      std::bitset<kCells> seen;
      for (int64_t i = 0; i < kCells; ++i) {
        const uint8_t cell = orders[row * kCells + static_cast<size_t>(i)];
        if (cell >= kCells || seen[cell])
          refuse(batch.ids[row], "its 'order' does not hold every cell 0 to 80 once");
        seen.set(cell);
      }
    }
  }

  [[noreturn]] void refuse(int64_t id, const std::string& why) const {
    CheckedDataset::refuse(id, ": " + why, "make or convert the dataset again");
  }
};

}  // namespace

std::unique_ptr<Dataset> make_grids_dataset(const ShardList& list, const ArraysOptions& options) {
  check_grid_arrays(list);
  return std::make_unique<GridsDataset>(list, options);
}

}  // namespace lockstep
