#include "launcher/sweep/sweep_points.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include <fmt/format.h>

#include "core/files.h"
#include "core/json_text.h"
#include "core/philox.h"

namespace lockstep {
namespace {

constexpr size_t kLongestName = 120;  // file systems end at 255 bytes

using Settings = std::vector<SweepSetting>;

Node scalar(const std::string& text, const Place& place) {
  Node node;
  node.type = Node::Type::kScalar;
  node.scalar = text;
  node.place = place;
  return node;
}

void add_grid(const SweepFile& file, std::vector<Settings>& out) {
  if (file.grid.empty()) return;
  std::vector<size_t> at(file.grid.size(), 0);
  for (;;) {
    Settings point;
    for (size_t i = 0; i < at.size(); ++i)
      point.push_back({file.grid[i].key, file.grid[i].values[at[i]], file.grid[i].key_place});
    out.push_back(std::move(point));
    size_t i = at.size();
    while (i > 0 && ++at[i - 1] == file.grid[i - 1].values.size()) at[--i] = 0;
    if (i == 0) return;
  }
}

// Six digits are enough for a search, and can be read.
double rounded(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return std::strtod(text, nullptr);
}

Node draw(const SweepRange& range, const Stream& stream, uint64_t point, uint64_t element) {
  if (!range.choices.empty())
    return range
        .choices[stream.below(point, 0, element, static_cast<uint32_t>(range.choices.size()))];
  const double u = stream.uniform(point, 0, element);
  double low = *range.low, high = *range.high;
  if (range.whole) low -= 0.5, high += 0.5;
  if (range.scale == "log" && low <= 0) low = *range.low / 2;
  double value = range.scale == "log"
                     ? std::exp(std::log(low) + u * (std::log(high) - std::log(low)))
                     : low + u * (high - low);
  if (!range.whole)
    return scalar(format_double(std::clamp(rounded(value), *range.low, *range.high)),
                  range.key_place);
  value = std::clamp(std::round(value), std::ceil(*range.low), std::floor(*range.high));
  return scalar(fmt::format("{:.0f}", value), range.key_place);
}

void add_random(const SweepFile& file, std::vector<Settings>& out) {
  const Stream stream(static_cast<uint64_t>(file.seed), Purpose::kSweep);
  for (int64_t i = 0; i < file.random_points; ++i) {
    Settings point;
    for (size_t k = 0; k < file.random.size(); ++k)
      point.push_back({file.random[k].key,
                       draw(file.random[k], stream, static_cast<uint64_t>(i), k),
                       file.random[k].key_place});
    out.push_back(std::move(point));
  }
}

std::string safe(const std::string& text) {
  std::string out;
  for (unsigned char c : text) {
    const bool plain = std::isalnum(c) || c == '.' || c == '-' || c == '_';
    if (plain || (!out.empty() && out.back() != '_')) out += plain ? static_cast<char>(c) : '_';
  }
  while (!out.empty() && out.back() == '_') out.pop_back();
  while (!out.empty() && out.front() == '.') out.erase(0, 1);  // no hidden folders, no ".."
  return out;
}

std::string identity(const Settings& settings) {
  std::string text;
  for (const SweepSetting& setting : settings) text += setting.text() + "\n";
  return text;
}

std::string hash_of(const Settings& settings) {
  const std::string text = identity(settings);
  return hash_bytes(text.data(), text.size());
}

std::string default_name(const Settings& settings, const std::vector<std::string>& keys) {
  std::string name;
  for (const SweepSetting& setting : settings)
    name +=
        (name.empty() ? "" : "-") + short_key(setting.key, keys) + "_" + plain_value(setting.value);
  return name.empty() ? "base" : name;
}

// `{KEY}` in the template stands for the point's value of KEY.
std::string name_from(const SweepFile& file, const Settings& settings) {
  std::string out;
  for (size_t i = 0; i < file.point_name.size(); ++i) {
    if (file.point_name[i] != '{') {
      out += file.point_name[i];
      continue;
    }
    const size_t end = std::min(file.point_name.find('}', i), file.point_name.size());
    const std::string key = file.point_name.substr(i + 1, end - i - 1);
    const auto found = std::find_if(settings.begin(), settings.end(),
                                    [&](const SweepSetting& s) { return s.key == key; });
    if (found == settings.end())
      throw ConfigError(
          fmt::format("point_name names '{{{}}}', and not every point sets that key", key),
          "use keys that all points have, or leave point_name out", {file.path, 0, 0, ""});
    out += plain_value(found->value);
    i = end;
  }
  return out;
}

std::string name_of(const SweepFile& file, const Settings& settings,
                    const std::vector<std::string>& keys) {
  std::string name =
      safe(file.point_name.empty() ? default_name(settings, keys) : name_from(file, settings));
  if (name.empty() || name.size() > kLongestName)
    name = name.substr(0, kLongestName - 9) + "-" + hash_of(settings).substr(0, 8);
  return name;
}

std::vector<std::string> keys_of(const std::vector<Settings>& points) {
  std::vector<std::string> keys;
  std::set<std::string> seen;
  for (const Settings& point : points)
    for (const SweepSetting& setting : point)
      if (seen.insert(setting.key).second) keys.push_back(setting.key);
  return keys;
}

std::string seed_override(const SweepFile& file, const Settings& settings) {
  const uint64_t id = std::stoull(hash_of(settings).substr(0, 15), nullptr, 16);
  const Stream stream(static_cast<uint64_t>(file.seed), Purpose::kSweep);
  return "run.seed=" + std::to_string(stream.bits(id, 1, 0) >> 1);
}

}  // namespace

std::string short_key(const std::string& key, const std::vector<std::string>& all) {
  for (size_t dot = key.rfind('.'); dot != std::string::npos;
       dot = dot == 0 ? std::string::npos : key.rfind('.', dot - 1)) {
    const std::string tail = key.substr(dot);  // with its dot, so that "lr" is no end of "my_lr"
    const auto ends_so = [&](const std::string& other) { return ("." + other).ends_with(tail); };
    if (std::count_if(all.begin(), all.end(), ends_so) <= 1) return tail.substr(1);
  }
  return key;
}

std::vector<std::string> swept_keys(const std::vector<SweepPoint>& points) {
  std::vector<Settings> settings;
  for (const SweepPoint& point : points) settings.push_back(point.settings);
  return keys_of(settings);
}

std::string plain_value(const Node& value) {
  std::string out;
  switch (value.type) {
    case Node::Type::kNull:
      return "default";
    case Node::Type::kScalar:
      return value.scalar;
    case Node::Type::kSequence:
      for (const Node& item : value.items) out += (out.empty() ? "" : ", ") + plain_value(item);
      return "[" + out + "]";
    case Node::Type::kMap:
      for (const auto& [key, item] : value.entries)
        out += (out.empty() ? "" : ", ") + key + ": " + plain_value(item);
      return "{" + out + "}";
  }
  return out;
}

std::vector<SweepPoint> make_points(const SweepFile& file,
                                    const std::vector<std::string>& overrides, size_t& repeated) {
  std::vector<Settings> all;
  add_grid(file, all);
  all.insert(all.end(), file.list.begin(), file.list.end());
  add_random(file, all);
  const std::vector<std::string> keys = keys_of(all);

  std::vector<SweepPoint> points;
  std::map<std::string, std::string> identities;  // of a point, by name
  repeated = 0;
  for (Settings& settings : all) {
    SweepPoint point{name_of(file, settings, keys), std::move(settings), {}};
    const auto [found, added] = identities.try_emplace(point.name, identity(point.settings));
    if (!added && found->second == identity(point.settings)) {
      ++repeated;
      continue;
    }
    if (!added) {  // other values that look alike in a folder's name
      if (!file.point_name.empty())
        throw ConfigError(fmt::format("two points have the name '{}'", point.name),
                          "name all varied keys in point_name", {file.path, 0, 0, ""});
      point.name += "-" + hash_of(point.settings).substr(0, 8);
      if (!identities.try_emplace(point.name, identity(point.settings)).second) {
        ++repeated;
        continue;
      }
    }
    for (const SweepSetting& setting : file.set) point.overrides.push_back(setting.text());
    point.overrides.insert(point.overrides.end(), overrides.begin(), overrides.end());
    for (const SweepSetting& setting : point.settings) point.overrides.push_back(setting.text());
    if (file.initial_weights == "per_point")
      point.overrides.push_back(seed_override(file, point.settings));
    points.push_back(std::move(point));
  }
  return points;
}

}  // namespace lockstep
