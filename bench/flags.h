// The command line of the benchmark programs: `--name value` or `--name`.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/errors.h"

namespace lockstep {

class BenchFlags {
 public:
  BenchFlags(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      if (!word.starts_with("--")) throw ConfigError("not a flag: '" + word + "'");
      const bool has_value = i + 1 < argc && !std::string(argv[i + 1]).starts_with("--");
      values_[word.substr(2)] = has_value ? argv[++i] : "";
    }
  }
  bool has(const std::string& name) const { return values_.contains(name); }
  std::string text(const std::string& name, const std::string& otherwise = "") const {
    return has(name) ? values_.at(name) : otherwise;
  }
  int64_t number(const std::string& name, int64_t otherwise) const {
    return has(name) ? whole_number(values_.at(name)) : otherwise;
  }

  static int64_t whole_number(const std::string& text) {
    if (text.empty() || text.size() > 15 ||
        text.find_first_not_of("0123456789") != std::string::npos)
      throw ConfigError("not a number: '" + text + "'");
    return std::stoll(text);
  }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace lockstep
