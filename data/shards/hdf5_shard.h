// One shard open for reading.
//
// HDF5 is used once, at opening, to check the file's structure and to learn where each chunk lies.
// After that chunks are read by pread and checked against their Fletcher-32 here: threads read in
// parallel, without the library's lock, and a file that is cut short under us is an error of pread
// instead of a SIGBUS from a mapping. Compressed chunks go through the library, one at a time.
//
// Files are hostile until checked: what is accepted is exactly what write_shard writes. External
// storage, virtual datasets, soft and external links, user blocks, other filters, missing or
// overlapping chunks, and sizes that do not fit the file are refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lockstep {

// One HDF5 dataset of a shard: rows of equal size, in chunks of whole rows.
struct StoredArray {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;  // of one row
  int64_t rows = 0;
  int64_t row_bytes = 0;
  int64_t rows_per_chunk = 1;
  int64_t num_chunks() const { return (rows + rows_per_chunk - 1) / rows_per_chunk; }
  bool compressed = false;
  struct Chunk {
    uint64_t address = 0, bytes = 0;  // in the file, checksum included
  };
  std::vector<Chunk> chunks;
};

class ShardFile {
 public:
  // Throws DataError naming the file if anything about it is not as it must be.
  explicit ShardFile(const std::filesystem::path& path);
  ~ShardFile();
  ShardFile(const ShardFile&) = delete;
  ShardFile& operator=(const ShardFile&) = delete;

  const std::filesystem::path& path() const;
  const std::string& kind() const;
  const std::string& made_by() const;
  int64_t samples() const;
  const std::vector<StoredArray>& arrays() const;
  // The array called `name`, or nullptr.
  const StoredArray* find(const std::string& name) const;
  // Chunk `chunk` of `array`: rows_per_chunk rows (the last one padded with zeros). Any thread.
  // Throws DataError naming file and array if it is damaged or gone.
  std::vector<uint8_t> read_chunk(const StoredArray& array, int64_t chunk) const;
  // All rows, into `out` of rows · row_bytes bytes.
  void read_all(const StoredArray& array, uint8_t* out) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
