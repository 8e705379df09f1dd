// Statistics of reference pictures, kept in files between runs.
//
// The file's name is a hash of everything the numbers depend on: the pictures' content, how many of
// them, resizing, weights, number of features. A changed dataset therefore never finds stale
// statistics, as it did where the name was the folder's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "eval/feature_statistics.h"

namespace lockstep {

struct StatisticsKey {
  std::string content;  // ImageSource::content_hash()
  int64_t images = 0;   // the first so many
  FeatureRecord record;
  std::string hash() const;
};

// `folder` if it is not "", else $LOCKSTEP_CACHE, $XDG_CACHE_HOME/lockstep or ~/.cache/lockstep; ""
// if there is none of these.
std::string statistics_folder(const std::string& folder);

// What is kept under `key` in `folder`, or nothing: also if the files are damaged, which the log
// says.
std::optional<FeatureStatistics> find_statistics(const std::string& folder,
                                                 const StatisticsKey& key, const std::string& name);
// Keeps `statistics`. A folder that cannot be written is said on the log and nothing else.
void keep_statistics(const std::string& folder, const StatisticsKey& key,
                     const FeatureStatistics& statistics);

}  // namespace lockstep
