// Datasets: samples by id, from shards.
//
// `datasets.h` has the table of kinds. The general kind is `arrays`: named arrays declared in
// dataset.json; `grids` (sudoku) checks on top that its arrays are what it needs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/batch.h"

namespace lockstep {

// One array of a dataset.
struct ArrayInfo {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;  // of one sample
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual const std::vector<ArrayInfo>& arrays() const = 0;
  // Hash of all shards' hashes: enters the config hash, so a changed dataset is noticed on resume.
  virtual std::string content_hash() const = 0;
  // Samples `ids` in that order; id −1 gives a zero row. Thread-safe. Throws DataError naming the
  // shard if it is damaged or was truncated meanwhile.
  virtual Batch read(std::span<const int64_t> ids) const = 0;
};

}  // namespace lockstep
