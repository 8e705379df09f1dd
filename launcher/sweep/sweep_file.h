// The file of `lockstep sweep`: a base config and the keys to vary (docs/sweeps.md).
//
//     base: seed-k3.yaml                  # relative to this file
//     grid:                               # every combination
//       optimizer.lr: [1.0e-3, 5.0e-4]
//       task.model.hidden_dim: [8, 32]
//     list:                               # these, one by one
//       - {optimizer.lr: 1.0e-2, task.k_max: 1}
//     random:                             # so many points, drawn
//       points: 20
//       keys: {optimizer.lr: {low: 1.0e-5, high: 1.0e-2, scale: log}}
//
// The keys of a config may be any that the worker knows; the launcher does not know them. It reads
// the file as strictly as configs are read, and leaves the config's own keys to the worker's plan.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/config/config_node.h"
#include "core/config/fields.h"

namespace lockstep {

// One key of the config and a value for it.
struct SweepSetting {
  std::string key;  // "optimizer.lr"
  Node value;
  Place key_place;
  // The override that sets it: "optimizer.lr=1.0e-3".
  std::string text() const;
};

// A key of `grid` with all its values.
struct SweepAxis {
  std::string key;
  Place key_place;
  std::vector<Node> values;
};

// A key of `random.keys`: a range, or a list to choose from.
struct SweepRange {
  std::string key;
  Place key_place;
  std::vector<Node> choices;  // empty: the range
  std::optional<double> low, high;
  std::string scale = "linear";
  bool whole = false;
  void fields(FieldVisitor& visit);
};

struct SweepFile {
  std::string path;
  std::string name;  // default: the file's name without .yaml
  std::string folder = "runs";
  std::string base;        // as it can be opened from here
  std::string point_name;  // "" = made from the keys
  std::string initial_weights = "same";
  int64_t seed = 17;
  Auto<int64_t> at_once;
  std::vector<std::string> rank_by;  // empty: the validation loss, and the accuracy if there is one
  std::string wrong_points = "skip";

  std::vector<SweepSetting> set;  // the same for all points
  std::vector<SweepAxis> grid;
  std::vector<std::vector<SweepSetting>> list;
  int64_t random_points = 0;
  std::vector<SweepRange> random;

  void fields(FieldVisitor& visit);
};

// Reads and checks the file. Throws ConfigError with place.
SweepFile read_sweep_file(const std::string& path);
// The same of a text; `path` is its name in messages.
SweepFile read_sweep_text(const std::string& text, const std::string& path);

// A value in the grammar of overrides: words escaped, strings quoted, lists and maps in brackets.
std::string override_value(const Node& value);

}  // namespace lockstep
