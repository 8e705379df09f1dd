#include "data/shards/shard_files.h"

#include <fnmatch.h>
#include <glob.h>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/errors.h"
#include "core/files.h"
#include "core/user_path.h"
#include "data/shards/dtypes.h"

namespace lockstep {
namespace {

const char* const kCopyHelp = "copy the whole dataset folder again, or make or convert it again";

bool has_wildcard(const std::string& text) {
  return text.find_first_of("*?[") != std::string::npos;
}

// Existing paths that match, sorted by name.
std::vector<std::string> expand(const std::string& pattern) {
  if (!has_wildcard(pattern)) return {pattern};
  glob_t found{};
  const int result = ::glob(pattern.c_str(), 0, nullptr, &found);
  std::vector<std::string> paths(found.gl_pathv,
                                 found.gl_pathv + (result == 0 ? found.gl_pathc : 0));
  ::globfree(&found);
  return paths;
}

// A file that dataset.json does not know: half-copied, from an older making, or put there by hand.
void refuse_unlisted(const fs::path& folder, const std::string& name_pattern,
                     const DatasetIndex& index) {
  std::error_code code;
  for (const auto& file : fs::directory_iterator(folder, code)) {
    const std::string name = file.path().filename();
    if (name.starts_with('.') || !name.ends_with(".h5") || index.find(name) != nullptr) continue;
    if (::fnmatch(name_pattern.c_str(), name.c_str(), FNM_PERIOD) == 0)
      throw DataError(fmt::format("shard '{}' is not listed in dataset.json", name),
                      "remove it if it is left over from an older dataset; otherwise make or "
                      "convert the dataset again",
                      {file.path().string()});
  }
}

void check_size(const ShardPath& shard) {
  std::error_code code;
  const auto bytes = fs::file_size(shard.path, code);
  if (code)
    throw DataError(fmt::format("shard is missing: {}", code.message()), kCopyHelp,
                    {shard.path.string()});
  if (bytes != static_cast<uintmax_t>(shard.entry.bytes))
    throw DataError(
        fmt::format("shard has {} bytes, dataset.json says {}", bytes, shard.entry.bytes),
        kCopyHelp, {shard.path.string()});
}

void add_folder(const fs::path& folder, const std::string& name_pattern, ShardList& list) {
  const DatasetIndex index = read_index(folder);
  if (list.shards.empty()) {
    list.kind = index.kind;
    list.arrays = index.arrays;
  } else if (index.kind != list.kind || index.arrays != list.arrays) {
    throw DataError(
        fmt::format("its kind or arrays differ from those of {}",
                    list.shards[0].path.parent_path().string()),
        "one list of shards is one dataset: all of its folders must hold the same arrays",
        {index_path(folder).string()});
  }
  refuse_unlisted(folder, name_pattern, index);
  const size_t before = list.shards.size();
  for (const ShardEntry& entry : index.shards) {
    if (::fnmatch(name_pattern.c_str(), entry.file.c_str(), FNM_PERIOD) != 0) continue;
    list.shards.push_back({folder / entry.file, entry});
    check_size(list.shards.back());
  }
  if (list.shards.size() == before)
    throw DataError(fmt::format("dataset.json lists no shard that matches '{}'", name_pattern),
                    "`lockstep data inspect FOLDER` shows what it holds",
                    {(folder / name_pattern).string()});
}

// `name` as a pattern that matches itself alone.
std::string as_pattern(const std::string& name) {
  std::string out;
  for (const char c : name) {
    if (std::string_view("*?[]\\").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

// What exists under the name as it is written is meant by it, brackets and all: `set [1]`.
void add_pattern(const std::string& given, ShardList& list) {
  std::error_code code;
  const fs::path path(user_path(given));
  if (fs::is_directory(path, code)) return add_folder(path, "*", list);
  const fs::path parent = path.parent_path();
  const std::string folder_name = parent.empty() ? "." : parent.string();
  const std::vector<std::string> folders = fs::is_directory(folder_name, code)
                                               ? std::vector<std::string>{folder_name}
                                               : expand(folder_name);
  const std::string name = path.filename().string();
  const std::string name_pattern = fs::exists(path, code) ? as_pattern(name) : name;
  bool any = false;
  for (const std::string& folder : folders) {
    if (!fs::is_directory(folder, code)) continue;
    any = true;
    add_folder(parent.empty() ? fs::path() : fs::path(folder), name_pattern, list);
  }
  if (!any)
    throw DataError(
        "there is no such folder",
        "make the data first (lockstep data --help), or mend data.train and data.validation",
        {parent.string()});
}

}  // namespace

int64_t ShardList::samples() const {
  int64_t total = 0;
  for (const ShardPath& shard : shards) total += shard.entry.samples;
  return total;
}

std::string ShardList::content_hash() const {
  std::string text = kind + "\n";
  for (const ArrayInfo& array : arrays)
    text += fmt::format("{} {} [{}] {}\n", array.name, dtype_name(array.dtype),
                        fmt::join(array.shape, ", "), array.ragged);
  for (const ShardPath& shard : shards)
    text += fmt::format("{} {}\n", shard.entry.hash, shard.entry.samples);
  return hash_bytes(text.data(), text.size());
}

ShardList find_shards(const std::vector<std::string>& patterns) {
  if (patterns.empty())
    throw DataError("no shards are named",
                    "give a folder or a pattern such as datasets/sudoku/train-*.h5");
  ShardList list;
  for (const std::string& pattern : patterns) add_pattern(pattern, list);
  std::set<std::string> seen;
  for (const ShardPath& shard : list.shards)
    if (!seen.insert(fs::weakly_canonical(shard.path).string()).second)
      throw DataError("the shard is named twice", "let each shard match one pattern only",
                      {shard.path.string()});
  return list;
}

void verify_hashes(const ShardList& list) {
  for (const ShardPath& shard : list.shards)
    if (const std::string hash = hash_file(shard.path); hash != shard.entry.hash)
      throw DataError(
          fmt::format("shard has hash {}, dataset.json says {}", hash, shard.entry.hash), kCopyHelp,
          {shard.path.string()});
}

}  // namespace lockstep
