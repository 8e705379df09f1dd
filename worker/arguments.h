// The words after a command: CONFIG or RUN, `--flags`, and `key=value` overrides.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/errors.h"

namespace lockstep {

// A flag a command knows: "--output FILE" has a value, "--json" has none.
struct Flag {
  std::string name;  // with dashes
  bool has_value = false;
};

// The place of an error in the words that were typed.
Place on_command_line(const std::string& words);

class Arguments {
 public:
  // Sorts `words` by form: `--name[=value]`, then `~a`, `+a=b`, `a.b=c` (a key path before the
  // first '='), else positional. Throws ConfigError for an unknown flag (with the nearest one) or
  // a missing value, with a caret under the word.
  Arguments(const std::vector<std::string>& words, const std::vector<Flag>& flags);

  const std::vector<std::string>& positionals() const { return positionals_; }
  const std::vector<std::string>& overrides() const { return overrides_; }
  bool has(const std::string& flag) const { return values_.count(flag) > 0; }
  std::optional<std::string> value(const std::string& flag) const;
  // The value, or ConfigError "COMMAND needs FLAG …".
  std::string required(const std::string& flag, const std::string& command) const;
  std::optional<int64_t> integer(const std::string& flag) const;
  // --threads, at least 1; without it all cores this process may use.
  int64_t threads() const;
  // The only positional. Throws ConfigError naming `what` if there is none, or more than one.
  std::string one_positional(const std::string& what) const;
  void no_overrides() const;
  void no_positionals() const;

 private:
  std::vector<std::string> positionals_, overrides_;
  std::map<std::string, std::string> values_;
};

}  // namespace lockstep
