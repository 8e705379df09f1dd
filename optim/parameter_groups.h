// Groups of parameters with their own learning rate or weight decay, or frozen, by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/config/fields.h"
#include "ddp/arena.h"

namespace lockstep {

struct GroupOptions {
  std::string match;  // "*.bias", or "regex:layers\.\d+\..*"
  double lr_scale = 1;
  std::optional<double> lr;  // instead of lr_scale
  std::optional<double> weight_decay;
  bool freeze = false;

  void fields(FieldVisitor& visit) {
    visit("match", match,
          "names of the group: * and ? as in a shell, or regex:PATTERN for the whole name");
    visit("lr_scale", lr_scale, at_least(0), "times optimizer.lr");
    visit("lr", lr, at_least(0), "learning rate of the group, scheduled like optimizer.lr");
    visit("weight_decay", weight_decay, at_least(0), "instead of optimizer.weight_decay");
    visit("freeze", freeze, "true: these parameters never change");
  }
};

// What holds for one parameter.
struct ParameterSettings {
  double lr_ratio = 1;  // times the scheduled learning rate
  double weight_decay = 0;
  bool frozen = false;
  bool operator==(const ParameterSettings&) const = default;
};

// Per parameter of the layout; the first matching group counts, parameters without one have
// (1, weight_decay, false). Throws ConfigError for a bad pattern, one that matches nothing, or a
// group lr beside a base lr of 0.
std::vector<ParameterSettings> resolve_groups(const ArenaLayout& layout,
                                              const std::vector<GroupOptions>& groups, double lr,
                                              double weight_decay);

// Neighbouring parameters with equal settings, as one range of the arena, gaps included.
struct Stretch {
  int64_t begin = 0, end = 0;                       // elements
  int64_t first_parameter = 0, last_parameter = 0;  // inclusive
  ParameterSettings settings;
};
std::vector<Stretch> make_stretches(const ArenaLayout& layout,
                                    const std::vector<ParameterSettings>& settings);

// The whole `name` against `*` and `?`.
bool glob_matches(const std::string& pattern, const std::string& name);

}  // namespace lockstep
