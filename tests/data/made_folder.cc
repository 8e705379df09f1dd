#include "tests/data/made_folder.h"

#include <unistd.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/sudoku/sudoku_puzzles.h"
#include "data/sudoku/sudoku_shards.h"

namespace lockstep {

MadeFolder::MadeFolder() {
  std::string name = (fs::temp_directory_path() / "lockstep-data-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw EnvironmentError("cannot make a folder for tests");
  path_ = name;
}

MadeFolder::~MadeFolder() {
  std::error_code code;
  fs::remove_all(path_, code);
}

std::vector<ArrayInfo> number_arrays() {
  return {{"number", at::kLong, {}}, {"row", at::kFloat, {2, 3}}, {"words", at::kUInt16, {}, true}};
}

namespace {

std::vector<ArrayValues> number_values(int64_t first, int64_t samples) {
  const std::vector<ArrayInfo> infos = number_arrays();
  at::Tensor number = at::arange(first, first + samples, at::kLong);
  at::Tensor row =
      number.to(at::kFloat).reshape({-1, 1, 1}) + at::arange(6, at::kFloat).reshape({1, 2, 3}) / 10;
  at::Tensor offsets = at::zeros({samples + 1}, at::kLong);
  std::vector<uint16_t> words;
  for (int64_t i = 0; i < samples; ++i) {
    words.insert(words.end(), static_cast<size_t>((first + i) % 4),
                 static_cast<uint16_t>((first + i) % 1000));
    offsets.mutable_data_ptr<int64_t>()[i + 1] = static_cast<int64_t>(words.size());
  }
  at::Tensor flat = at::empty({static_cast<int64_t>(words.size())}, at::kUInt16);
  std::copy(words.begin(), words.end(), flat.mutable_data_ptr<uint16_t>());
  return {{infos[0], number, {}}, {infos[1], row, {}}, {infos[2], flat, offsets}};
}

}  // namespace

void make_numbers(const fs::path& folder, const std::vector<int64_t>& shard_samples,
                  int64_t chunk_kilobytes, int deflate) {
  DatasetWriter writer(folder, {"arrays", "a test", "", number_arrays(), chunk_kilobytes, deflate},
                       false);
  int64_t first = 0;
  for (size_t i = 0; i < shard_samples.size(); ++i) {
    writer.add_shard("part-" + std::to_string(i) + ".h5", shard_samples[i],
                     number_values(first, shard_samples[i]));
    first += shard_samples[i];
  }
  writer.finish();
}

void make_grids(const fs::path& folder, int64_t samples) {
  const Stream stream(5, Purpose::kTest);
  std::vector<SudokuSample> made(static_cast<size_t>(samples));
  for (size_t i = 0; i < made.size(); ++i) {
    Draws draws(stream, i, 0);
    made[i].solution = random_grid(draws);
    made[i].puzzle = reduced_puzzle(made[i].solution, 30, draws);
  }
  DatasetWriter writer(folder, {"grids", "a test", "", sudoku_arrays()}, false);
  add_sudoku_shard(writer, "grids-0.h5", made.data(), made.data() + made.size());
  writer.finish();
}

std::string data_error(const std::function<void()>& body) {
  try {
    body();
  } catch (const DataError& error) {
    return error.message();
  }
  ADD_FAILURE() << "no DataError";
  return "";
}

}  // namespace lockstep
