// Folders and small datasets for tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/errors.h"
#include "core/files.h"
#include "data/shards/dataset_writer.h"

namespace lockstep {

// An empty folder under the system's temporary one, removed at the end.
class MadeFolder {
 public:
  MadeFolder();
  ~MadeFolder();
  MadeFolder(const MadeFolder&) = delete;
  MadeFolder& operator=(const MadeFolder&) = delete;
  const fs::path& path() const { return path_; }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

// The arrays that make_numbers writes: for sample i
//   number  i64 []      i
//   row     f32 [2, 3]  i + k/10 for k = 0 … 5
//   words   u16 ragged  i mod 4 elements, all i mod 1000
std::vector<ArrayInfo> number_arrays();

// Writes a dataset of kind `arrays` with one shard `part-K.h5` per entry of `shard_samples`.
void make_numbers(const fs::path& folder, const std::vector<int64_t>& shard_samples,
                  int64_t chunk_kilobytes = 256, int deflate = 0);

// Writes a dataset of kind `grids` with one shard grids-0.h5 of valid puzzles.
void make_grids(const fs::path& folder, int64_t samples);

// The message of the DataError that `body` throws; fails the test if it throws none.
std::string data_error(const std::function<void()>& body);

}  // namespace lockstep
