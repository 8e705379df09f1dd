// Makes a dataset folder: shards one by one, dataset.json last.
//
// Everything is written under FOLDER/.making and moved to its place by finish(), dataset.json as
// the last file. A folder without dataset.json is no dataset, so an interrupted making leaves
// nothing that opens; the next one clears it away and starts again. What an older dataset held
// stays usable until finish(). Only one process makes a folder at a time (FOLDER/.lock).
//
// A conversion may add shards of another prefix to a dataset (`prefix=validation`): finish() moves
// the new shards beside the old ones, then replaces dataset.json. What an interrupted adding left
// is cleared away by the next one.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/files.h"
#include "data/shards/dataset_index.h"
#include "data/shards/hdf5_write.h"

namespace lockstep {

struct DatasetPlan {
  std::string kind, made_by;
  std::string recipe;  // JSON of the options, "" if the data have no recipe
  std::vector<ArrayInfo> arrays;
  int64_t chunk_kilobytes = 256;
  int deflate = 0;
  // Names in front of the numbers of the shards to come ("train"). With them shards are added to a
  // dataset that has none of these names; without them a folder that holds a dataset is refused.
  std::vector<std::string> prefixes = {};
};

class DatasetWriter {
 public:
  // Makes the folder, and removes what an interrupted making left in it. Throws DataError if the
  // folder holds a dataset that these shards cannot be added to (of the same prefix, another kind
  // or other arrays) and `overwrite` is false, or .h5 files although no making began in it;
  // LockedError if another process is making it; EnvironmentError on I/O.
  DatasetWriter(const std::filesystem::path& folder, DatasetPlan plan, bool overwrite);
  // Without finish(): removes what it wrote. Never throws.
  ~DatasetWriter();

  // True if the folder holds a dataset with this recipe: nothing needs to be made.
  static bool is_made(const std::filesystem::path& folder, const std::string& recipe);

  // Writes shard FILE with `samples` samples of the plan's arrays, in the plan's order.
  void add_shard(const std::string& file, int64_t samples, std::vector<ArrayValues> arrays);
  // Replaces the plan's recipe: what a conversion knows only at its end.
  void set_recipe(const std::string& recipe) { index_.recipe = recipe; }
  // Puts all in its place. Throws DataError if there is no shard.
  void finish();

 private:
  std::filesystem::path staging() const { return folder_ / ".making"; }
  void open_old();
  void clear_unfinished_adding() const;
  void join_old();

  std::filesystem::path folder_;
  DatasetPlan plan_;
  DatasetIndex index_;
  std::optional<DatasetIndex> old_;  // the dataset that shards are added to
  std::unique_ptr<FileLock> lock_;
  bool moving_ = false;  // finish() has begun: what lies in .making marks the folder as interrupted
};

// The dataset that a conversion would add to: nullopt if the folder holds none or is to be
// overwritten.
std::optional<DatasetIndex> dataset_to_add_to(const std::filesystem::path& folder, bool overwrite);

// "train-00003.h5".
std::string shard_name(const std::string& prefix, int64_t number);

}  // namespace lockstep
