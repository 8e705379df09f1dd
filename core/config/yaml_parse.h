// One YAML document as a tree, without following `include:`.
#pragma once

#include <string>

#include "core/config/config_node.h"

namespace lockstep {

// The rules are those of parse_yaml_text in core/config/config_node.h. Throws ConfigError with
// place.
Node parse_yaml_document(const std::string& whole, const std::string& name);

// Lays `over` onto `base`: maps merge key by key, everything else replaces. A map whose `kind`
// differs from the one below replaces it whole, since the keys of the old kind mean nothing then.
void overlay(Node& base, Node over);

// Turns a scalar NAME into `{kind: NAME}`, its long form, so that keys can be set beside it.
void expand_shorthand(Node& node);

}  // namespace lockstep
