// A tiny Sudoku training for tests: a few grids, a small network, ranks as threads.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/run_folder.h"

namespace lockstep::testing {

// A folder below the system's temporary one, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A dataset of kind `arrays` with one shard of float scalars a sample.
void write_float_arrays(const std::filesystem::path& folder,
                        const std::vector<std::pair<std::string, std::vector<float>>>& arrays);

// Overrides of a run of `steps` steps on data made once per process.
std::vector<std::string> tiny_overrides(int64_t steps);

// Trains on `ranks` threads as ranks into `folder`, going on from a checkpoint there if there is
// one. Returns the steps done.
int64_t train_on_threads(const std::filesystem::path& folder, int ranks,
                         const std::vector<std::string>& overrides);

// All files of a checkpoint that must not depend on the ranks, concatenated with their names.
std::string checkpoint_bytes(const RunFolder& folder, int64_t step);

}  // namespace lockstep::testing
