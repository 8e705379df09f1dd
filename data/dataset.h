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
  std::vector<int64_t> shape;  // of one sample; if ragged, of one element
  // Ragged: each sample has its own number of elements. A batch then holds the elements of all rows
  // one after the other as NAME [total, …] and NAME_offsets i64 [B+1] (row i: [o[i], o[i+1])).
  bool ragged = false;

  bool operator==(const ArrayInfo&) const = default;
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual const std::vector<ArrayInfo>& arrays() const = 0;
  // Hash of all shards' hashes: enters the config hash, so a changed dataset is noticed on resume.
  virtual std::string content_hash() const = 0;
  // Samples `ids` in that order; id −1 gives a zero row (ragged: no elements). `indices` of the
  // batch is left empty. Thread-safe. Throws DataError naming the shard if it is damaged or was
  // truncated meanwhile.
  virtual Batch read(std::span<const int64_t> ids) const = 0;
  // Throws DataError if a sample of `batch` (which read() gave) breaks a rule of its kind. Used by
  // `data verify`; costs more than training should pay.
  virtual void check_samples(const Batch& batch) const {}
};

}  // namespace lockstep
