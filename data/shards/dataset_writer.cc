#include "data/shards/dataset_writer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {

using Json = nlohmann::ordered_json;

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
  if (made && !overwrite) open_old();
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

std::optional<DatasetIndex> dataset_to_add_to(const fs::path& folder, bool overwrite) {
  std::error_code code;
  if (overwrite || !fs::exists(index_path(folder), code)) return std::nullopt;
  return read_index(folder);
}

// Shards of another prefix and the same arrays are added to what is there; anything else is refused
// before any work is done.
void DatasetWriter::open_old() {
  const DatasetIndex old = read_index(folder_);
  const auto refuse = [&](const std::string& fact, const char* help) {
    throw DataError(fact, help, {folder_.string()});
  };
  if (plan_.prefixes.empty())
    refuse("the folder already holds a dataset",
           "name another folder, or add overwrite=true to replace it");
  for (const std::string& prefix : plan_.prefixes)
    for (const ShardEntry& shard : old.shards)
      if (shard.file == prefix + ".h5" || shard.file.starts_with(prefix + "-"))
        refuse(
            fmt::format("the folder already holds a dataset with shards such as '{}'", shard.file),
            "add shards under another name (prefix=validation), name another folder, or add "
            "overwrite=true to replace the whole dataset");
  if (old.kind != plan_.kind || old.arrays != plan_.arrays)
    refuse(
        "the folder holds a dataset of another kind, size or labels, so these samples cannot be "
        "added to it",
        "convert with the same size, channels and labels (lockstep data inspect FOLDER shows "
        "them), or name another folder");
  old_ = old;
  clear_unfinished_adding();
}

// Shards that an interrupted adding moved, and that dataset.json does not know yet.
void DatasetWriter::clear_unfinished_adding() const {
  std::error_code code;
  if (!fs::exists(index_path(staging()), code)) return;
  const DatasetIndex unfinished = read_index(staging());
  for (const ShardEntry& shard : unfinished.shards)
    if (old_->find(shard.file) == nullptr) fs::remove(folder_ / shard.file, code);
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

// Puts the old dataset in front of the new shards. Its recipe stays, since it tells of most of the
// data; the new one goes under `added`.
void DatasetWriter::join_old() {
  Json recipe = old_->recipe.empty() ? Json::object() : Json::parse(old_->recipe);
  recipe["added"][plan_.prefixes[0]] =
      index_.recipe.empty() ? Json::object() : Json::parse(index_.recipe);
  std::vector<ShardEntry> shards = old_->shards;
  shards.insert(shards.end(), index_.shards.begin(), index_.shards.end());
  index_.recipe = recipe.dump();
  index_.made_by = old_->made_by;
  index_.shards = std::move(shards);
}

void DatasetWriter::finish() {
  if (index_.shards.empty())
    throw DataError("the dataset would hold no samples", "", {folder_.string()});
  const std::vector<ShardEntry> made = index_.shards;
  if (old_) join_old();
  write_index(staging(), index_);
  moving_ = true;
  if (!old_) {
    // From here on the folder is no dataset, until its new dataset.json arrives.
    fs::remove(index_path(folder_));
    sync_path(folder_);
    for (const fs::path& shard : shards_in(folder_)) fs::remove(shard);
  }
  for (const ShardEntry& shard : made) move_file(staging() / shard.file, folder_ / shard.file);
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
