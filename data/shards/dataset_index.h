// dataset.json: what a folder of shards holds (byte layout: docs/formats.md, "Datasets").
//
// It is written last, so a folder without it is an interrupted making; it lists every shard with
// its size and hash, so a shard that is missing, exchanged or damaged is found before its first
// use.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lockstep {

inline constexpr int64_t kDatasetVersion = 1;
inline constexpr const char* kDatasetFormat = "lockstep-dataset";

struct ShardEntry {
  std::string file;  // plain name inside the folder
  int64_t samples = 0;
  int64_t bytes = 0;
  std::string hash;  // XXH3-128 of the file, 32 hexadecimal digits
};

struct DatasetIndex {
  std::string kind;
  std::string made_by;
  std::string recipe;  // JSON text of the options that made it, "" if none; of made data: equal
                       // recipe = equal data
  std::vector<ArrayInfo> arrays;
  std::vector<ShardEntry> shards;  // their order is the order of sample ids

  int64_t samples() const;
  // The shard called `file`, or nullptr.
  const ShardEntry* find(const std::string& file) const;
};

// FOLDER/dataset.json.
std::filesystem::path index_path(const std::filesystem::path& folder);

// Reads and checks every field: unknown or duplicate keys, wrong types, unsafe file names, repeated
// shards or arrays, sizes and hashes out of range are a DataError naming the file.
DatasetIndex read_index(const std::filesystem::path& folder);
// One spelling of a JSON text, as read_index gives `recipe`. "" stays "".
std::string normal_json(const std::string& text);
// Atomically, with fsync. Throws EnvironmentError.
void write_index(const std::filesystem::path& folder, const DatasetIndex& index);

}  // namespace lockstep
