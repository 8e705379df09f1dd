#include <algorithm>
#include <array>
#include <numeric>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/progress.h"
#include "data/commands.h"
#include "data/datasets.h"
#include "data/shards/dtypes.h"
#include "data/shards/hdf5_shard.h"
#include "data/shards/shard_files.h"
#include "data/sudoku/sudoku_grid.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kSamplesAtOnce = 4096;  // samples read at a time

std::vector<int64_t> id_range(int64_t first, int64_t count) {
  std::vector<int64_t> ids(static_cast<size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

// As its own kind, or as plain arrays if the kind belongs to a plug-in that is not here.
std::unique_ptr<Dataset> open_listed(const std::string& kind, const std::string& path) {
  const DatasetTable table = dataset_kinds();
  return table.make(Choice(table, table.find(kind) != nullptr ? kind : "arrays"), {path});
}

Json json_of(const ShardList& list, const std::string& path) {
  Json json{{"path", path},
            {"kind", list.kind},
            {"samples", list.samples()},
            {"content_hash", list.content_hash()}};
  json["arrays"] = Json::array();
  for (const ArrayInfo& array : list.arrays)
    json["arrays"].push_back({{"name", array.name},
                              {"dtype", dtype_name(array.dtype)},
                              {"shape", array.shape},
                              {"ragged", array.ragged}});
  json["shards"] = Json::array();
  for (const ShardPath& shard : list.shards)
    json["shards"].push_back({{"file", shard.path.string()},
                              {"samples", shard.entry.samples},
                              {"bytes", shard.entry.bytes},
                              {"hash", shard.entry.hash}});
  return json;
}

// "0 cat, 1 dog", if the dataset's recipe names its classes.
std::string classes_text(const ShardList& list) {
  const DatasetIndex index = read_index(list.shards[0].path.parent_path());
  if (index.recipe.empty()) return "";
  const Json recipe = Json::parse(index.recipe);
  const auto names = recipe.find("classes");
  if (names == recipe.end() || !names->is_array()) return "";
  std::string text;
  for (size_t i = 0; i < names->size(); ++i)
    if ((*names)[i].is_string())
      text += fmt::format("{}{} {}", i == 0 ? "" : ", ", i, (*names)[i].get<std::string>());
  return text;
}

std::string text_of(const ShardList& list) {
  std::string text = fmt::format("kind      {}\nsamples   {}\n\n{:<20} {:<5} shape of a sample\n",
                                 list.kind, list.samples(), "array", "dtype");
  for (const ArrayInfo& array : list.arrays)
    text += fmt::format("{:<20} {:<5} [{}]{}\n", array.name, dtype_name(array.dtype),
                        fmt::join(array.shape, ", "), array.ragged ? " × its own length" : "");
  if (const std::string classes = classes_text(list); !classes.empty())
    text += "\nclasses   " + classes + "\n";
  text +=
      fmt::format("\n{:<28} {:>10} {:>14} {:>8}  hash\n", "shard", "samples", "bytes", "chunks");
  for (const ShardPath& shard : list.shards) {
    const ShardFile file(shard.path);
    size_t chunks = 0;
    for (const StoredArray& array : file.arrays()) chunks += array.chunks.size();
    text += fmt::format("{:<28} {:>10} {:>14} {:>8}  {}\n", shard.path.filename().string(),
                        shard.entry.samples, shard.entry.bytes, chunks, shard.entry.hash);
  }
  return text;
}

// "5 of level easy", … if the dataset has levels.
std::string levels_text(const std::array<int64_t, kNumSudokuLevels>& levels) {
  std::string text;
  for (int level = 0; level < kNumSudokuLevels; ++level)
    if (levels[static_cast<size_t>(level)] > 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", levels[static_cast<size_t>(level)],
                          kSudokuLevels[level].name);
  return text;
}

void draw_row(const Batch& batch, int64_t row, std::string& text) {
  for (const auto& [name, array] : batch.arrays) {
    if (name.ends_with("_offsets") && batch.arrays.contains(name.substr(0, name.size() - 8)))
      continue;
    at::Tensor values = array;
    if (const auto offsets = batch.arrays.find(name + "_offsets"); offsets != batch.arrays.end()) {
      const auto* o = offsets->second.const_data_ptr<int64_t>();
      values = array.slice(0, o[row], o[row + 1]);
    } else {
      values = array[row];
    }
    values = values.reshape({-1});
    const int64_t shown = std::min<int64_t>(values.numel(), 16);
    std::vector<double> numbers;
    for (int64_t i = 0; i < shown; ++i) numbers.push_back(values[i].to(at::kDouble).item<double>());
    text +=
        fmt::format("  {:<12} {}{}\n", name, fmt::join(numbers, " "),
                    values.numel() > shown ? fmt::format(" … ({} values)", values.numel()) : "");
  }
}

void draw_boards(const Batch& batch, int64_t row, std::string& text) {
  const auto* solution = batch.array("solution").const_data_ptr<uint8_t>() + row * kCells;
  if (batch.arrays.contains("puzzle")) {
    const auto* puzzle = batch.array("puzzle").const_data_ptr<uint8_t>() + row * kCells;
    const int givens = count_givens(puzzle);
    text += fmt::format("{} givens ({})\n{}\n", givens, kSudokuLevels[level_of_givens(givens)].name,
                        draw_grid(puzzle));
  }
  text += "solution\n" + draw_grid(solution);
}

}  // namespace

DataReport inspect_data(const std::string& path) {
  const ShardList list = find_shards({path});
  return {text_of(list), json_of(list, path).dump()};
}

DataReport verify_data(const std::string& path, bool show_progress) {
  const ShardList list = find_shards({path});
  const std::unique_ptr<Dataset> dataset = open_listed(list.kind, path);
  Progress progress("verify", dataset->size(), "sample", show_progress);
  std::array<int64_t, kNumSudokuLevels> levels{};
  for (int64_t first = 0; first < dataset->size(); first += kSamplesAtOnce) {
    const int64_t count = std::min(kSamplesAtOnce, dataset->size() - first);
    const Batch batch = dataset->read(id_range(first, count));
    dataset->check_samples(batch);
    if (const auto puzzle = batch.arrays.find("puzzle");
        list.kind == "grids" && puzzle != batch.arrays.end())
      for (int64_t row = 0; row < count; ++row)
        ++levels[static_cast<size_t>(level_of_givens(
            count_givens(puzzle->second.const_data_ptr<uint8_t>() + row * kCells)))];
    progress.update(first + count);
  }
  progress.finish();
  Json json = json_of(list, path);
  json["verified"] = true;
  std::string text = fmt::format(
      "{} samples in {} shards are good: sizes, hashes, structure, checksums{}\n", list.samples(),
      list.shards.size(), list.kind == "grids" ? ", grids and puzzles" : "");
  if (const std::string puzzles = levels_text(levels); !puzzles.empty())
    text += "puzzles: " + puzzles + "\n";
  return {text, json.dump()};
}

DataReport show_data(const std::string& path, int64_t first, int64_t count) {
  const ShardList list = find_shards({path});
  const std::unique_ptr<Dataset> dataset = open_listed(list.kind, path);
  if (first < 0 || first >= dataset->size() || count < 1)
    throw ConfigError(fmt::format("there is no sample {}: the dataset has samples 0 to {}", first,
                                  dataset->size() - 1));
  const Batch batch = dataset->read(id_range(first, std::min(count, dataset->size() - first)));
  std::string text;
  Json json = Json::array();
  for (int64_t row = 0; row < batch.rows(); ++row) {
    const int64_t id = batch.ids[static_cast<size_t>(row)];
    text += fmt::format("{}sample {}\n", row == 0 ? "" : "\n", id);
    json.push_back(id);
    if (list.kind == "grids")
      draw_boards(batch, row, text);
    else
      draw_row(batch, row, text);
  }
  return {text, Json{{"path", path}, {"samples", json}}.dump()};
}

}  // namespace lockstep
