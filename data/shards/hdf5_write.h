// Writes one shard: an HDF5 file with one chunked dataset per array (docs/formats.md, "Datasets").
//
// The file depends on its content only: no times are stored, and the format version is pinned, so
// the same arrays give the same bytes and the same hash wherever the same HDF5 library is used.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lockstep {

// One array of a shard, on the CPU. Fixed: values [N, shape…]. Ragged: values [total, shape…] and
// offsets i64 [N+1] from 0 to total, never falling.
struct ArrayValues {
  ArrayInfo info;
  at::Tensor values;
  at::Tensor offsets;
};

struct ShardContent {
  std::string kind, made_by;
  int64_t samples = 0;
  std::vector<ArrayValues> arrays;
  int64_t chunk_kilobytes = 256;  // KiB of whole rows per chunk at most, at least one row
  int deflate = 0;                // zlib level 1–9 with byte shuffle; 0: uncompressed
};

// Writes `path` (not atomically: callers use write_atomic). Throws DataError if arrays and infos
// disagree, EnvironmentError if the file cannot be written.
void write_shard(const std::filesystem::path& path, const ShardContent& content);

}  // namespace lockstep
