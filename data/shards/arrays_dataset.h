// The general kind of dataset: the arrays that dataset.json declares, as they are stored.
#pragma once

#include <memory>

#include "core/config/fields.h"
#include "data/shards/shard_files.h"

namespace lockstep {

struct ArraysOptions {
  int64_t memory_megabytes = 256;  // MiB; a dataset up to this size is read whole at the start
  int64_t cache_megabytes = 64;    // MiB of chunks kept of a larger one
  bool verify_hashes = true;       // hash every shard at the start, not only its chunks when read

  void fields(FieldVisitor& visit) {
    visit("memory_megabytes", memory_megabytes, Range{0, 1 << 24},
          "MiB; datasets up to this size are held in memory");
    visit("cache_megabytes", cache_megabytes, Range{1, 1 << 24},
          "MiB of decoded chunks kept of larger datasets");
    visit("verify_hashes", verify_hashes,
          "compare every shard with its hash in dataset.json at the start");
  }
};

// Opens and checks all shards. Throws DataError naming the file before any sample is used.
std::unique_ptr<Dataset> make_arrays_dataset(const ShardList& list, const ArraysOptions& options);

}  // namespace lockstep
