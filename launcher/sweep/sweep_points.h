// The points of a sweep: which values each one has, what it is called, where it lives.
//
// A point is known by its values alone, not by its place in the list: a sweep that grows keeps the
// points it has, and a point has the same folder and the same seed whatever stands around it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "launcher/sweep/sweep_file.h"

namespace lockstep {

struct SweepPoint {
  std::string name;                    // of its folder, too: "lr_1.0e-3-hidden_dim_8"
  std::vector<SweepSetting> settings;  // what makes this point, in the order of the file
  std::vector<std::string>
      overrides;  // all of them: `set`, the command line's, the settings, run.seed
};

// Grid points first (the last key runs fastest, as itertools.product), then the list, then random
// ones. Equal points are kept once; `repeated` counts those left out. `overrides` are the command
// line's. Throws ConfigError if two points have the same name.
std::vector<SweepPoint> make_points(const SweepFile& file,
                                    const std::vector<std::string>& overrides, size_t& repeated);

// "optimizer.lr" → "lr", as long as no other key of the sweep ends so: then "optimizer.lr".
std::string short_key(const std::string& key, const std::vector<std::string>& all);

// All keys that points set, in order of first appearance.
std::vector<std::string> swept_keys(const std::vector<SweepPoint>& points);

// A value as the tables show it: without quotes and escapes.
std::string plain_value(const Node& value);

}  // namespace lockstep
