#include "data/shards/dataset_writer.h"

#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {
namespace {

std::vector<fs::path> shards_in(const fs::path& folder) {
  std::vector<fs::path> shards;
  for (const auto& file : fs::directory_iterator(folder))
    if (file.path().extension() == ".h5") shards.push_back(file.path());
  return shards;
}

void move_file(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::rename(from, to, code);
  if (code)
    throw EnvironmentError(fmt::format("cannot move a file into the dataset: {}", code.message()),
                           "", {to.string()});
}

}  // namespace

DatasetWriter::DatasetWriter(const fs::path& folder, DatasetPlan plan, bool overwrite)
    : folder_(folder), plan_(std::move(plan)) {
  index_ = {plan_.kind, plan_.made_by, plan_.recipe, plan_.arrays, {}};
  make_folders(folder_);
  lock_ = std::make_unique<FileLock>(
      folder_ / ".lock",
      "another process is making this dataset: wait for it, or use another folder");
  const bool made = fs::exists(index_path(folder_)), interrupted = fs::exists(staging());
  if (made && !overwrite)
    throw DataError("the folder already holds a dataset",
                    "name another folder, or add overwrite=true to replace it", {folder_.string()});
  if (!made && !interrupted && !shards_in(folder_).empty())
    throw DataError(
        fmt::format("the folder holds '{}' and no dataset.json",
                    shards_in(folder_)[0].filename().string()),
        "these files may be somebody's data: remove them yourself, or name another folder",
        {folder_.string()});
  if (!made)
    for (const fs::path& shard : shards_in(folder_)) fs::remove(shard);
  fs::remove_all(staging());
  make_folders(staging());
}

DatasetWriter::~DatasetWriter() {
  std::error_code code;
  if (!moving_) fs::remove_all(staging(), code);
  fs::remove(folder_ / ".lock", code);
}

bool DatasetWriter::is_made(const fs::path& folder, const std::string& recipe) {
  std::error_code code;
  return fs::exists(index_path(folder), code) && read_index(folder).recipe == normal_json(recipe);
}

void DatasetWriter::add_shard(const std::string& file, int64_t samples,
                              std::vector<ArrayValues> arrays) {
  const fs::path path = staging() / file;
  const ShardContent content{plan_.kind,        plan_.made_by,         samples,
                             std::move(arrays), plan_.chunk_kilobytes, plan_.deflate};
  write_atomic(path, [&](const fs::path& temporary) { write_shard(temporary, content); });
  index_.shards.push_back(
      {file, samples, static_cast<int64_t>(fs::file_size(path)), hash_file(path)});
}

void DatasetWriter::finish() {
  if (index_.shards.empty())
    throw DataError("the dataset would hold no samples", "", {folder_.string()});
  write_index(staging(), index_);
  moving_ = true;
  // From here on the folder is no dataset, until its new dataset.json arrives.
  fs::remove(index_path(folder_));
  sync_path(folder_);
  for (const fs::path& shard : shards_in(folder_)) fs::remove(shard);
  for (const ShardEntry& shard : index_.shards)
    move_file(staging() / shard.file, folder_ / shard.file);
  sync_path(folder_);
  move_file(index_path(staging()), index_path(folder_));
  sync_path(folder_);
  fs::remove_all(staging());
  moving_ = false;
}

std::string shard_name(const std::string& prefix, int64_t number) {
  return fmt::format("{}-{:05}.h5", prefix, number);
}

}  // namespace lockstep
