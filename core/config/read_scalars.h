// Strict reading of one scalar. All throw ConfigError with the node's place.
#pragma once

#include <cstdint>
#include <string>

#include "core/config/config_node.h"

namespace lockstep {

// Decimal, `1_000` allowed; no `010`, `0x10`, `3.0`, `1e3`, quotes.
int64_t read_integer(const Node& node, const std::string& path, const Rule& rule);
// Decimal with optional fraction and exponent (`1e-4` is a number); `.inf` where the range allows
// it.
double read_double(const Node& node, const std::string& path, const Rule& rule);
// `true` or `false`.
bool read_bool(const Node& node, const std::string& path);
// Any scalar's text; one of rule.words if there are any.
std::string read_string(const Node& node, const std::string& path, const Rule& rule);

// "text 'abc'", "a list", … for "…, got X".
std::string describe(const Node& node);
// "'a', 'b', 'c'".
std::string quoted_list(const std::vector<std::string>& words);

}  // namespace lockstep
