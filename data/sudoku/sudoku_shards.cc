#include "data/sudoku/sudoku_shards.h"

#include <cstring>

#include <ATen/ATen.h>
#include <fmt/format.h>

namespace lockstep {

std::vector<ArrayInfo> sudoku_arrays() {
  return {{"solution", at::kByte, {kCells}},
          {"puzzle", at::kByte, {kCells}},
          {"level", at::kByte, {}},
          {"givens", at::kByte, {}}};
}

void add_sudoku_shard(DatasetWriter& writer, const std::string& file, const SudokuSample* first,
                      const SudokuSample* last) {
  const int64_t samples = last - first;
  at::Tensor solution = at::empty({samples, kCells}, at::kByte),
             puzzle = at::empty({samples, kCells}, at::kByte);
  at::Tensor level = at::empty({samples}, at::kByte), givens = at::empty({samples}, at::kByte);
  for (int64_t i = 0; i < samples; ++i) {
    const SudokuSample& sample = first[i];
    std::memcpy(solution.mutable_data_ptr<uint8_t>() + i * kCells, sample.solution.data(), kCells);
    std::memcpy(puzzle.mutable_data_ptr<uint8_t>() + i * kCells, sample.puzzle.data(), kCells);
    const int count = count_givens(sample.puzzle.data());
    givens.mutable_data_ptr<uint8_t>()[i] = static_cast<uint8_t>(count);
    level.mutable_data_ptr<uint8_t>()[i] = static_cast<uint8_t>(level_of_givens(count));
  }
  const std::vector<ArrayInfo> infos = sudoku_arrays();
  const at::Tensor values[] = {solution, puzzle, level, givens};
  std::vector<ArrayValues> arrays;
  for (size_t i = 0; i < infos.size(); ++i) arrays.push_back({infos[i], values[i], {}});
  writer.add_shard(file, samples, std::move(arrays));
}

}  // namespace lockstep
