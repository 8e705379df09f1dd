#include "launcher/sweep/sweep_file.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/config/read_scalars.h"
#include "core/files.h"

namespace lockstep {
namespace {

constexpr int64_t kMostPoints = 100'000;

// Removes an entry from a map; nothing if there is none.
std::optional<std::pair<Node, Place>> take(Node& map, const std::string& key) {
  for (size_t i = 0; i < map.entries.size(); ++i) {
    if (map.entries[i].first != key) continue;
    std::pair<Node, Place> out{std::move(map.entries[i].second), map.key_places[i]};
    map.entries.erase(map.entries.begin() + static_cast<std::ptrdiff_t>(i));
    map.key_places.erase(map.key_places.begin() + static_cast<std::ptrdiff_t>(i));
    return out;
  }
  return std::nullopt;
}

// The free-form parts are read by hand, so the fields alone do not know all keys.
void check_keys(const Node& map, const std::string& where, const std::vector<std::string>& known) {
  if (map.type == Node::Type::kNull) return;
  if (map.type != Node::Type::kMap)
    throw ConfigError(fmt::format("{} must be a map, got {}", where, describe(map)),
                      "write its keys below it", map.place);
  for (size_t i = 0; i < map.entries.size(); ++i) {
    const std::string& key = map.entries[i].first;
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string nearest = nearest_word(key, known);
    throw ConfigError(fmt::format("unknown key '{}' of {}", key, where),
                      (nearest.empty() ? "" : fmt::format("did you mean '{}'? ", nearest)) +
                          fmt::format("known keys here: {}", fmt::join(known, ", ")),
                      map.key_places[i]);
  }
}

// A key of the config: words with dots between, and none that the sweep itself sets.
void check_config_key(const std::string& key, const Place& place) {
  bool good = !key.empty() && key.front() != '.' && key.back() != '.' &&
              key.find("..") == std::string::npos;
  for (unsigned char c : key) good = good && (std::isalnum(c) || c == '_' || c == '-' || c == '.');
  if (!good)
    throw ConfigError(fmt::format("'{}' is no key of a config", key),
                      "write it with dots: optimizer.lr", place);
  for (const char* own : {"run.folder", "run.name"})
    if (key == own)
      throw ConfigError(fmt::format("'{}' is the sweep's to set", key),
                        "use the sweep's own name and folder", place);
}

std::vector<SweepSetting> read_settings(const Node& map, const std::string& where) {
  std::vector<SweepSetting> out;
  if (map.type == Node::Type::kNull) return out;
  if (map.type != Node::Type::kMap)
    throw ConfigError(
        fmt::format("{} must be a map of keys and values, got {}", where, describe(map)),
        "write {optimizer.lr: 1.0e-3}", map.place);
  for (size_t i = 0; i < map.entries.size(); ++i) {
    check_config_key(map.entries[i].first, map.key_places[i]);
    out.push_back({map.entries[i].first, map.entries[i].second, map.key_places[i]});
  }
  return out;
}

std::vector<Node> read_values(const Node& node, const std::string& key) {
  if (node.type != Node::Type::kSequence || node.items.empty())
    throw ConfigError(
        fmt::format("the values of '{}' must be a list, got {}", key,
                    node.type == Node::Type::kSequence ? "an empty one" : describe(node)),
        "write [1, 2, 3]; a value that is a list itself: [[1, 2], [1, 2, 3]]", node.place);
  return node.items;
}

std::vector<SweepAxis> read_grid(const Node& map) {
  std::vector<SweepAxis> out;
  for (const SweepSetting& axis : read_settings(map, "'grid'"))
    out.push_back({axis.key, axis.key_place, read_values(axis.value, axis.key)});
  return out;
}

SweepRange read_range(SweepSetting setting) {
  SweepRange range;
  range.key = setting.key;
  range.key_place = setting.key_place;
  const std::string where = fmt::format("'random.keys.{}'", setting.key);
  if (setting.value.type == Node::Type::kSequence) {  // the short form of choices
    range.choices = read_values(setting.value, setting.key);
    return range;
  }
  check_keys(setting.value, where, {"low", "high", "scale", "whole", "choices"});
  const Place place = setting.value.place;
  if (auto choices = take(setting.value, "choices")) {
    range.choices = read_values(choices->first, setting.key);
    if (!setting.value.entries.empty())
      throw ConfigError(where + " has choices and a range", "keep one of them",
                        setting.value.key_places.front());
    return range;
  }
  read_fields(setting.value, range, "random.keys." + setting.key);
  if (!range.low || !range.high)
    throw ConfigError(where + " needs low and high, or choices",
                      "write {low: 1.0e-5, high: 1.0e-2, scale: log}", place);
  if (!(*range.low < *range.high)) throw ConfigError(where + ": low is not below high", "", place);
  if (range.scale == "log" && !(*range.low > 0))
    throw ConfigError(where + ": a log scale needs low above 0", "", place);
  return range;
}

void read_random(Node map, SweepFile& file) {
  check_keys(map, "'random'", {"points", "keys"});
  const Place place = map.place;
  const auto points = take(map, "points");
  const auto keys = take(map, "keys");
  if (!points || !keys)
    throw ConfigError("'random' needs points and keys", "see lockstep sweep --help", place);
  file.random_points = read_integer(points->first, "random.points",
                                    {Range{1, static_cast<double>(kMostPoints)}, {}});
  for (SweepSetting& setting : read_settings(keys->first, "'random.keys'"))
    file.random.push_back(read_range(std::move(setting)));
  if (file.random.empty()) throw ConfigError("'random.keys' names no key", "", keys->second);
}

void read_list(const Node& node, SweepFile& file) {
  if (node.type == Node::Type::kNull) return;
  if (node.type != Node::Type::kSequence)
    throw ConfigError(fmt::format("'list' must be a list of maps, got {}", describe(node)),
                      "write `- {optimizer.lr: 1.0e-3}`, a line a point", node.place);
  for (const Node& item : node.items) file.list.push_back(read_settings(item, "a point of 'list'"));
}

// One key is given in one way only.
void check_together(const SweepFile& file, bool random_given) {
  if (file.grid.empty() && file.list.empty() && !random_given)
    throw ConfigError("the sweep has no points",
                      "give grid, list or random; `lockstep sweep --help` has an example",
                      {file.path, 0, 0, ""});
  double product = file.grid.empty() ? 0 : 1;
  for (const SweepAxis& axis : file.grid) product *= static_cast<double>(axis.values.size());
  const double points =
      product + static_cast<double>(file.list.size()) + static_cast<double>(file.random_points);
  if (points > static_cast<double>(kMostPoints))
    throw ConfigError(fmt::format("the sweep has {:.0f} points, more than {}", points, kMostPoints),
                      "use random points", {file.path, 0, 0, ""});
  const auto check = [&](const std::string& key, const Place& place) {
    for (const SweepSetting& setting : file.set)
      if (setting.key == key)
        throw ConfigError(fmt::format("'{}' is in 'set' and varied as well", key),
                          "keep one of them", place);
    if (key == "run.seed" && file.initial_weights == "per_point")
      throw ConfigError("'run.seed' is varied, and initial_weights: per_point sets it",
                        "set initial_weights: same", place);
  };
  for (const SweepAxis& axis : file.grid) check(axis.key, axis.key_place);
  for (const auto& point : file.list)
    for (const SweepSetting& setting : point)
      if (setting.key == "run.seed")
        check(setting.key, setting.key_place);  // a point's own value beats `set`
  for (const SweepRange& range : file.random) check(range.key, range.key_place);
}

SweepFile read_sweep(Node root, const std::string& path) {
  SweepFile file;
  file.path = path;
  file.name = fs::path(path).stem().string();
  check_keys(root, "the sweep",
             {"name", "folder", "base", "point_name", "initial_weights", "seed", "at_once",
              "rank_by", "wrong_points", "set", "grid", "list", "random"});
  const auto set = take(root, "set"), grid = take(root, "grid"), list = take(root, "list"),
             random = take(root, "random");
  read_fields(root, file);
  if (file.base.empty())
    throw ConfigError("the sweep names no base config", "base: CONFIG.yaml", {path, 0, 0, ""});
  const fs::path base = file.base;
  file.base = base.is_absolute()
                  ? base.string()
                  : (fs::path(path).parent_path() / base).lexically_normal().string();
  if (!is_safe_relative(file.name))
    throw ConfigError(fmt::format("the sweep's name '{}' cannot be a folder", file.name),
                      "name: LETTERS, digits, '.', '_' and '-'", {path, 0, 0, ""});
  if (set) file.set = read_settings(set->first, "'set'");
  if (grid) file.grid = read_grid(grid->first);
  if (list) read_list(list->first, file);
  if (random) read_random(random->first, file);
  check_together(file, random.has_value());
  return file;
}

std::string escaped_word(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (std::string_view("\\()[]{}:=, ~+'\"").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

void SweepRange::fields(FieldVisitor& visit) {
  visit("low", low, "least value");
  visit("high", high, "largest value");
  visit("scale", scale, OneOf{{"linear", "log"}}, "how values spread between low and high");
  visit("whole", whole, "whole numbers only");
}

void SweepFile::fields(FieldVisitor& visit) {
  visit("name", name, "of the sweep; points are in FOLDER/NAME");
  visit("folder", folder, "where the sweep's folder goes");
  visit("base", base, "the config that points vary; relative to this file");
  visit("point_name", point_name,
        "name of a point with {KEY} for values; empty: made from the keys");
  visit("initial_weights", initial_weights, OneOf{{"same", "per_point"}},
        "same: run.seed of the base; per_point: one of its own");
  visit("seed", seed, Range{0, 9e15}, "of random points and of run.seed per point");
  visit("at_once", at_once, Range{1, 4096},
        "points that run at the same time; auto: as many as have cores");
  visit(
      "rank_by", rank_by,
      "scores with a winner each, the first orders the table; empty: validation loss and accuracy");
  visit("wrong_points", wrong_points, OneOf{{"skip", "stop"}},
        "what to do about points whose config is wrong");
}

std::string override_value(const Node& value) {
  std::string out;
  switch (value.type) {
    case Node::Type::kNull:
      return "null";
    case Node::Type::kScalar:
      if (!value.quoted) return escaped_word(value.scalar);
      for (char c : value.scalar)
        out += (c == '\'' || c == '\\') ? std::string("\\") + c : std::string(1, c);
      return "'" + out + "'";
    case Node::Type::kSequence:
      for (const Node& item : value.items) out += (out.empty() ? "" : ", ") + override_value(item);
      return "[" + out + "]";
    case Node::Type::kMap:
      for (const auto& [key, item] : value.entries)
        out += (out.empty() ? "" : ", ") + key + ": " + override_value(item);
      return "{" + out + "}";
  }
  return out;
}

std::string SweepSetting::text() const { return key + "=" + override_value(value); }

SweepFile read_sweep_file(const std::string& path) {
  return read_sweep(parse_yaml_file(path), path);
}

SweepFile read_sweep_text(const std::string& text, const std::string& path) {
  return read_sweep(parse_yaml_text(text, path), path);
}

}  // namespace lockstep
