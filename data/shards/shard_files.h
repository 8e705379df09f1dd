// Which shards a config means: from paths and globs to checked shard files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/shards/dataset_index.h"

namespace lockstep {

struct ShardPath {
  std::filesystem::path path;
  ShardEntry entry;
};

// The shards of one dataset: all of one kind, with the same arrays.
struct ShardList {
  std::string kind;
  std::vector<ArrayInfo> arrays;
  std::vector<ShardPath> shards;  // by pattern, and within a pattern's folder in dataset.json order

  int64_t samples() const;
  // XXH3-128 over kind, arrays and the shards' hashes in order.
  std::string content_hash() const;
};

// Finds the shards of `patterns`. A pattern is a folder (all its shards), or FOLDER/NAME where both
// may hold *, ? and […]. The folder's dataset.json decides: a file that matches and is not listed,
// a listed shard that matches and is missing or has another size, nothing matching, a shard matched
// twice, and folders whose kinds or arrays differ are a DataError naming the file.
ShardList find_shards(const std::vector<std::string>& patterns);

// Compares the hash of every shard file with dataset.json. Throws DataError naming the first that
// differs.
void verify_hashes(const ShardList& list);

}  // namespace lockstep
