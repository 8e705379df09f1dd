// Options as a tree of printed values: what YAML, JSON and the list of keys are written from.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/config/fields.h"

namespace lockstep {

struct Printed {
  enum class Type { kLeaf, kMap, kList };
  Type type = Type::kLeaf;
  std::string name, path;          // "lr", "optimizer.lr"; elements of a list are "0", "1" …
  std::string yaml, json;          // of a leaf
  std::vector<std::string> items;  // YAML of each element, if the leaf is a list
  std::string kind_name, doc;      // type in words ("integer", "list of numbers" …)
  Rule rule;
  const KindList* kinds = nullptr;  // of a choice
  std::vector<Printed> children;
  std::vector<Printed> sample;  // of an empty list of sections: one default element, for help
};

Printed print_fields(const std::function<void(FieldVisitor&)>& visit, const std::string& path = "");

// "at least 1", "between 0 and 1", "greater than 0".
std::string describe_range(const Range& range);

}  // namespace lockstep
