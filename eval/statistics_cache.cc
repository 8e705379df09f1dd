#include "eval/statistics_cache.h"

#include <cstdlib>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"
#include "tensor/safetensors.h"

namespace lockstep {
namespace {

fs::path moments_file(const std::string& folder, const StatisticsKey& key) {
  return fs::path(folder) / (key.hash() + ".safetensors");
}
fs::path features_file(const std::string& folder, const StatisticsKey& key) {
  return fs::path(folder) / (key.hash() + "-features.safetensors");
}

}  // namespace

std::string StatisticsKey::hash() const {
  const std::string text =
      fmt::format("lockstep-statistics 1\n{}\n{}\n{}\n{}\n{}{}", content, images, record.dimensions,
                  record.resize, record.inception, record.tf32 ? "\ntf32" : "");
  return hash_bytes(text.data(), text.size());
}

std::string statistics_folder(const std::string& folder) {
  if (!folder.empty()) return folder;
  if (const char* own = std::getenv("LOCKSTEP_CACHE"); own != nullptr && *own != '\0') return own;
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg != '\0')
    return std::string(xdg) + "/lockstep";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return std::string(home) + "/.cache/lockstep";
  return "";
}

std::optional<FeatureStatistics> find_statistics(const std::string& folder,
                                                 const StatisticsKey& key,
                                                 const std::string& name) {
  std::error_code code;
  if (folder.empty() || !fs::exists(moments_file(folder, key), code) ||
      !fs::exists(features_file(folder, key), code))
    return std::nullopt;
  try {
    FeatureStatistics statistics = load_statistics(moments_file(folder, key), key.record);
    statistics.features = load_statistics(features_file(folder, key), key.record).features;
    statistics.name = name;
    return statistics;
  } catch (const DataError& error) {
    log_warning(fmt::format("kept statistics cannot be used and are made again: {}", error.fact()));
    return std::nullopt;
  }
}

void keep_statistics(const std::string& folder, const StatisticsKey& key,
                     const FeatureStatistics& statistics) {
  if (folder.empty()) return;
  try {
    make_folders(folder);
    write_atomic(features_file(folder, key), [&](const fs::path& path) {
      save_safetensors(path, {{"features", statistics.features}});
    });
    save_statistics(moments_file(folder, key), statistics, key.record);
  } catch (const EnvironmentError& error) {
    log_warning(
        fmt::format("the statistics of {} are not kept: {}", statistics.name, error.fact()));
  }
}

}  // namespace lockstep
