#include "optim/parameter_groups.h"

#include <fmt/format.h>

#include <functional>
#include <regex>

#include "core/config/config_node.h"
#include "core/errors.h"

namespace lockstep {

// Iterative, with one point of return: linear memory, at most |pattern|·|name| steps.
bool glob_matches(const std::string& pattern, const std::string& name) {
  size_t p = 0, n = 0, star = std::string::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p, ++n;
    } else if (star != std::string::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

namespace {

std::function<bool(const std::string&)> matcher(const std::string& match) {
  const std::string prefix = "regex:";
  if (!match.starts_with(prefix))
    return [match](const std::string& name) { return glob_matches(match, name); };
  try {
    const std::regex pattern(match.substr(prefix.size()));
    return [pattern](const std::string& name) { return std::regex_match(name, pattern); };
  } catch (const std::regex_error& error) {
    throw ConfigError(
        fmt::format("optimizer.groups: '{}' is no regular expression ({})", match, error.what()),
        "use a pattern with * and ?, or ECMAScript syntax behind regex:");
  }
}

ParameterSettings settings_of(const GroupOptions& group, double lr, double weight_decay) {
  ParameterSettings settings{group.lr_scale, group.weight_decay.value_or(weight_decay),
                             group.freeze};
  if (group.lr) {
    if (lr <= 0 && *group.lr > 0)
      throw ConfigError(
          fmt::format("optimizer.groups: '{}' sets lr while optimizer.lr is 0", group.match),
          "give optimizer.lr a positive value and scale the others down");
    settings.lr_ratio = *group.lr == 0 ? 0 : *group.lr / lr;
  }
  return settings;
}

}  // namespace

std::vector<ParameterSettings> resolve_groups(const ArenaLayout& layout,
                                              const std::vector<GroupOptions>& groups, double lr,
                                              double weight_decay) {
  std::vector<ParameterSettings> result(layout.entries.size(), {1, weight_decay, false});
  std::vector<char> taken(layout.entries.size(), 0);
  std::vector<std::string> names;
  for (const ArenaEntry& entry : layout.entries) names.push_back(entry.name);
  for (const GroupOptions& group : groups) {
    const auto matches = matcher(group.match);
    const ParameterSettings settings = settings_of(group, lr, weight_decay);
    bool any = false;
    for (size_t i = 0; i < names.size(); ++i) {
      if (!matches(names[i])) continue;
      any = true;
      if (taken[i]) continue;
      taken[i] = 1;
      result[i] = settings;
    }
    if (any) continue;
    const std::string nearest = nearest_word(group.match, names);
    throw ConfigError(fmt::format("optimizer.groups: '{}' matches no parameter", group.match),
                      nearest.empty() ? "the names are those of model.safetensors"
                                      : fmt::format("did you mean '{}'?", nearest));
  }
  return result;
}

std::vector<Stretch> make_stretches(const ArenaLayout& layout,
                                    const std::vector<ParameterSettings>& settings) {
  std::vector<Stretch> stretches;
  for (int64_t i = 0; i < std::ssize(layout.entries); ++i) {
    const int64_t begin = layout.entries[i].offset;
    const int64_t end =
        i + 1 < std::ssize(layout.entries) ? layout.entries[i + 1].offset : layout.size;
    if (!stretches.empty() && stretches.back().settings == settings[i]) {
      stretches.back().end = end;
      stretches.back().last_parameter = i;
    } else {
      stretches.push_back({begin, end, i, i, settings[i]});
    }
  }
  return stretches;
}

}  // namespace lockstep
