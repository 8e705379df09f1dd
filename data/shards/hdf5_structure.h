// The checks on a shard's structure. For data/hdf5_*.cc; callers hold a hdf5::Library.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/shards/hdf5_library.h"
#include "data/shards/hdf5_shard.h"

namespace lockstep::hdf5 {

struct ShardStructure {
  std::string kind, made_by;
  int64_t samples = 0;
  std::vector<StoredArray> arrays;
};

// Reads attributes, datasets and chunk tables of an open file of `file_bytes` bytes. Throws
// DataError (without place) for whatever write_shard would not have written.
ShardStructure read_structure(hid_t file, uint64_t file_bytes);

}  // namespace lockstep::hdf5
