#include "data/shards/dataset_index.h"

#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "data/shards/dtypes.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 16;
constexpr int64_t kMaxShards = 1'000'000, kMaxArrays = 256, kMaxRank = 8;

// nlohmann's DOM keeps the last of two equal keys; a reader that keeps the first would see another
// dataset, so they are refused, as is nesting that no index needs.
Json parse_strictly(const std::string& text) {
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxDepth) throw DataError("nested too deeply");
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw DataError("key '" + parsed.get<std::string>() + "' is there twice");
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const nlohmann::json::exception& error) {
    throw DataError(std::string("this is no JSON: ") + error.what());
  }
}

// One object whose keys must all be known and are fetched by type.
class Fields {
 public:
  Fields(const Json& json, std::string where, std::set<std::string> known)
      : json_(json), where_(std::move(where)) {
    if (!json.is_object()) throw DataError(where_ + " is no object");
    for (const auto& entry : json.items())
      if (!known.contains(entry.key()))
        throw DataError(fmt::format("unknown key '{}' in {}", entry.key(), where_));
  }

  const Json& get(const std::string& key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) throw DataError(fmt::format("{} lacks '{}'", where_, key));
    return *found;
  }
  std::string text(const std::string& key) const {
    const Json& value = get(key);
    if (!value.is_string()) throw DataError(fmt::format("'{}' of {} is no string", key, where_));
    return value.get<std::string>();
  }
  int64_t integer(const std::string& key, int64_t low) const {
    return integer_of(get(key), key, low);
  }
  int64_t integer_of(const Json& value, const std::string& key, int64_t low) const {
    const bool fits = value.is_number_integer() &&
                      !(value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX});
    if (!fits || value.get<int64_t>() < low)
      throw DataError(fmt::format("'{}' of {} is no integer of at least {}", key, where_, low));
    return value.get<int64_t>();
  }
  const Json& list(const std::string& key, int64_t most) const {
    const Json& value = get(key);
    if (!value.is_array() || value.empty() || static_cast<int64_t>(value.size()) > most)
      throw DataError(fmt::format("'{}' of {} is no list of 1 to {} elements", key, where_, most));
    return value;
  }

 private:
  const Json& json_;
  std::string where_;
};

bool is_word(const std::string& text) {
  if (text.empty() || text.size() > 64) return false;
  for (const char c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  return true;
}

ArrayInfo read_array(const Json& json) {
  const Fields fields(json, "an entry of 'arrays'", {"name", "dtype", "shape", "ragged"});
  ArrayInfo array;
  array.name = fields.text("name");
  if (!is_word(array.name) || array.name.ends_with("_offsets"))
    throw DataError("array name '" + array.name +
                    "' is not 1 to 64 letters, digits or _, or ends with _offsets");
  const auto dtype = dtype_of_name(fields.text("dtype"));
  if (!dtype)
    throw DataError(
        fmt::format("array '{}' has unknown dtype '{}'", array.name, fields.text("dtype")));
  array.dtype = *dtype;
  const Json& shape = fields.get("shape");
  if (!shape.is_array() || shape.size() > kMaxRank)
    throw DataError("shape of '" + array.name + "' is no short list");
  int64_t elements = 1;
  for (const Json& length : shape) {
    array.shape.push_back(fields.integer_of(length, "shape", 1));
    if (array.shape.back() > (int64_t{1} << 31) / elements)
      throw DataError(fmt::format("one sample of array '{}' is too large", array.name));
    elements *= array.shape.back();
  }
  if (!fields.get("ragged").is_boolean())
    throw DataError("'ragged' of array '" + array.name + "' is not true or false");
  array.ragged = fields.get("ragged").get<bool>();
  return array;
}

ShardEntry read_shard(const Json& json) {
  const Fields fields(json, "an entry of 'shards'", {"file", "samples", "bytes", "hash"});
  ShardEntry shard{fields.text("file"), fields.integer("samples", 1), fields.integer("bytes", 1),
                   fields.text("hash")};
  if (!is_safe_relative(shard.file) || shard.file.find('/') != std::string::npos ||
      shard.file.starts_with('.'))
    throw DataError(
        "shard name '" + shard.file + "' is not a plain file name",
        "shards lie beside dataset.json and have names of letters, digits, '.', '_' and '-'");
  if (shard.hash.size() != 32 ||
      shard.hash.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw DataError("hash of shard '" + shard.file + "' is not 32 hexadecimal digits");
  return shard;
}

DatasetIndex read_fields_of(const Json& json) {
  const Fields fields(
      json, "dataset.json",
      {"format", "version", "kind", "made_by", "samples", "recipe", "arrays", "shards"});
  if (fields.text("format") != kDatasetFormat)
    throw DataError("'format' is not " + std::string(kDatasetFormat));
  if (const int64_t version = fields.integer("version", 1); version != kDatasetVersion)
    throw DataError(fmt::format("dataset version {} is not {}", version, kDatasetVersion),
                    "it was made by another version of Lockstep; make or convert it again");
  DatasetIndex index{fields.text("kind"), fields.text("made_by"), "", {}, {}};
  if (!is_word(index.kind)) throw DataError("'kind' is not a word");
  if (const Json& recipe = fields.get("recipe"); !recipe.is_null()) {
    if (!recipe.is_object()) throw DataError("'recipe' is neither an object nor null");
    index.recipe = recipe.dump();
  }
  std::set<std::string> names, files;
  for (const Json& entry : fields.list("arrays", kMaxArrays)) {
    index.arrays.push_back(read_array(entry));
    if (!names.insert(index.arrays.back().name).second)
      throw DataError("array '" + index.arrays.back().name + "' is declared twice");
  }
  int64_t total = 0;
  for (const Json& entry : fields.list("shards", kMaxShards)) {
    index.shards.push_back(read_shard(entry));
    const ShardEntry& shard = index.shards.back();
    if (!files.insert(shard.file).second)
      throw DataError("shard '" + shard.file + "' is listed twice");
    if (shard.samples > INT64_MAX - total) throw DataError("more samples than can be counted");
    total += shard.samples;
  }
  if (fields.integer("samples", 1) != total)
    throw DataError(
        fmt::format("'samples' is {} but its shards hold {}", fields.integer("samples", 1), total));
  return index;
}

}  // namespace

int64_t DatasetIndex::samples() const {
  int64_t total = 0;
  for (const ShardEntry& shard : shards) total += shard.samples;
  return total;
}

const ShardEntry* DatasetIndex::find(const std::string& file) const {
  for (const ShardEntry& shard : shards)
    if (shard.file == file) return &shard;
  return nullptr;
}

fs::path index_path(const fs::path& folder) { return folder / "dataset.json"; }

DatasetIndex read_index(const fs::path& folder) {
  const fs::path path = index_path(folder);
  const char* help =
      "make or convert the dataset again (lockstep data --help), or copy dataset.json with its "
      "shards";
  try {
    if (std::error_code code; !fs::exists(path, code))
      throw DataError(
          fmt::format("{} holds no dataset.json", folder.empty() ? "." : folder.string()), help);
    return read_fields_of(parse_strictly(read_file(path, size_t{256} << 20)));
  } catch (DataError& error) {
    error.set_place({path.string()});
    if (!error.help().empty()) throw;
    throw DataError(error.fact(), help, error.place());
  }
}

std::string normal_json(const std::string& text) {
  return text.empty() ? text : Json::parse(text).dump();
}

void write_index(const fs::path& folder, const DatasetIndex& index) {
  Json json;
  json["format"] = kDatasetFormat;
  json["version"] = kDatasetVersion;
  json["kind"] = index.kind;
  json["made_by"] = index.made_by;
  json["samples"] = index.samples();
  json["recipe"] = index.recipe.empty() ? Json() : Json::parse(index.recipe);
  json["arrays"] = Json::array();
  for (const ArrayInfo& array : index.arrays)
    json["arrays"].push_back(Json{{"name", array.name},
                                  {"dtype", dtype_name(array.dtype)},
                                  {"shape", array.shape},
                                  {"ragged", array.ragged}});
  json["shards"] = Json::array();
  for (const ShardEntry& shard : index.shards)
    json["shards"].push_back(Json{{"file", shard.file},
                                  {"samples", shard.samples},
                                  {"bytes", shard.bytes},
                                  {"hash", shard.hash}});
  write_file_atomic(index_path(folder), json.dump(1) + "\n");
}

}  // namespace lockstep
