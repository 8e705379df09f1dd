// A stand-in for the network: knows grids of one family and how sure to claim to be.
#pragma once

#include <map>
#include <vector>

#include <ATen/ATen.h>

#include "data/dataset.h"
#include "tasks/sudoku/sudoku_decode.h"

namespace lockstep::testing {

// A solved grid: the cyclic one, shifted and with renamed digits.
inline SudokuBoard toy_grid(int number) {
  SudokuBoard grid;
  for (int cell = 0; cell < kCells; ++cell) {
    const int row = cell / 9, column = cell % 9;
    grid[size_t(cell)] = uint8_t(1 + (3 * row + row / 3 + column + number) % 9);
  }
  return grid;
}

// Every `keep`-th cell of the grid stays.
inline SudokuBoard toy_puzzle(const SudokuBoard& grid, int keep) {
  SudokuBoard puzzle{};
  for (size_t cell = 0; cell < grid.size(); cell += size_t(keep)) puzzle[cell] = grid[cell];
  return puzzle;
}

// Puts p on the digit of `grid` and spreads the rest evenly.
inline void claim(const SudokuBoard& grid, double p, float* probabilities) {
  for (size_t cell = 0; cell < grid.size(); ++cell)
    for (uint8_t d = 1; d <= 9; ++d)
      probabilities[cell * 9 + d - 1] = float(d == grid[cell] ? p : (1 - p) / 8);
}

// A dataset in memory.
class ToyDataset : public Dataset {
 public:
  ToyDataset(std::vector<SudokuBoard> solutions, std::vector<SudokuBoard> puzzles)
      : solutions_(std::move(solutions)), puzzles_(std::move(puzzles)) {
    arrays_.push_back({"solution", at::kByte, {kCells}});
    if (!puzzles_.empty()) arrays_.push_back({"puzzle", at::kByte, {kCells}});
  }
  int64_t size() const override { return int64_t(solutions_.size()); }
  const std::vector<ArrayInfo>& arrays() const override { return arrays_; }
  std::string content_hash() const override { return "toy"; }
  Batch read(std::span<const int64_t> ids) const override {
    Batch batch;
    batch.ids.assign(ids.begin(), ids.end());
    batch.indices = batch.ids;
    batch.arrays["solution"] = stack(solutions_, ids);
    if (!puzzles_.empty()) batch.arrays["puzzle"] = stack(puzzles_, ids);
    for (const auto& [name, boards] : more_) batch.arrays[name] = stack(boards, ids);
    return batch;
  }
  // One more array u8 [81].
  void add_array(const std::string& name, std::vector<SudokuBoard> boards) {
    arrays_.push_back({name, at::kByte, {kCells}});
    more_[name] = std::move(boards);
  }

 private:
  static at::Tensor stack(const std::vector<SudokuBoard>& boards, std::span<const int64_t> ids) {
    at::Tensor all = at::zeros({int64_t(ids.size()), kCells}, at::kByte);
    for (size_t row = 0; row < ids.size(); ++row)
      if (ids[row] >= 0)
        std::copy_n(boards.at(size_t(ids[row])).begin(), kCells,
                    all.mutable_data_ptr<uint8_t>() + row * kCells);
    return all;
  }
  std::vector<SudokuBoard> solutions_, puzzles_;
  std::map<std::string, std::vector<SudokuBoard>> more_;
  std::vector<ArrayInfo> arrays_;
};

}  // namespace lockstep::testing
