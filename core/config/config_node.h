// A parsed config: the tree between YAML text and typed options.
//
// Every node remembers where it was written, so that an error, `config explain`
// and the comments of the resolved config can say so.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/config/fields.h"
#include "core/errors.h"

namespace lockstep {

struct Node {
  enum class Type { kNull, kScalar, kSequence, kMap };

  Type type = Type::kNull;
  std::string scalar;   // text of a scalar, quotes removed
  bool quoted = false;  // '1' is a string, never a number
  std::vector<Node> items;
  std::vector<std::pair<std::string, Node>> entries;  // in file order; keys are unique
  std::vector<Place> key_places;                      // place of entries[i]'s key
  Place place;                                        // where the value starts
  std::string source;                                 // "FILE:LINE" or "command line: a.b=3"

  const Node* find(const std::string& key) const;
  Node* find(const std::string& key);
};

// Parses strict YAML (core/config/yaml_parse.cc): one document of at most 1 MiB, 64 levels, 10,000
// values and 4,096 keys a map; refuses anchors, aliases, tags, directives, merge keys, duplicate
// keys, tabs, control characters and invalid UTF-8. `include: FILE` or a list of files at the top
// level is read first, relative to the including file, then overlaid (maps merge, unless their
// `kind` differs; everything else replaces). Throws ConfigError with place; a missing file is a
// ConfigError as well.
Node parse_yaml_file(const std::string& path);
Node parse_yaml_text(const std::string& text, const std::string& name);

// Applies Hydra-style overrides in order: `a.b=3`, `a.b=` (null), `+a.b=3` (add or set),
// `++a.b=3`, `~a.b` (back to the default; an element leaves its list), `a.0.b=3` for list elements
// (the number behind the last one appends); values: numbers, words, quotes, `[1, 2]`, `{a: 1}`
// (merges like an included map), `null`. In a word, a backslash escapes `\()[]{}:=,~+`, quotes and
// space; in quotes, the quote and itself. Throws ConfigError naming the override with a caret.
void apply_overrides(Node& root, const std::vector<std::string>& overrides);

// Path of a field → where its value came from ("default" if absent).
using Sources = std::map<std::string, std::string>;

// Reads `node` (map or null) into the fields that `visit` lists. Unknown keys (with the
// nearest known one), wrong types, `010`, values out of range: ConfigError with place.
// Null and absent keys keep the default; a plain scalar is text where a field wants text;
// integers may be written `1_000`. A choice may be its kind's name alone. `path` is the prefix in
// messages ("" at the root). Records the source of every field if asked ("default" included).
void read_fields(const Node& node, const std::function<void(FieldVisitor&)>& visit,
                 const std::string& path = "", Sources* sources = nullptr);
template <detail::HasFields T>
void read_fields(const Node& node, T& options, const std::string& path = "",
                 Sources* sources = nullptr) {
  read_fields(node, [&](FieldVisitor& v) { options.fields(v); }, path, sources);
}

// Prints all fields as YAML that `parse_yaml_text` reads back to the same values. With
// `sources`, each line carries `# default` or `# FILE:LINE`.
std::string print_yaml(const std::function<void(FieldVisitor&)>& visit,
                       const Sources* sources = nullptr);

// All fields as one JSON object text, keys in field order, floats in shortest round-trip
// form. Input of the config hash: `skip` lists paths left out ("launch", "run.folder").
std::string print_json(const std::function<void(FieldVisitor&)>& visit,
                       const std::vector<std::string>& skip = {});

// Key, type, default, limits, doc: one line a field, for `config keys` and `--help`.
// `prefix` keeps only paths that start with it.
std::string print_keys(const std::function<void(FieldVisitor&)>& visit,
                       const std::string& prefix = "");

// The fields as JSON Schema text (draft 2020-12) for editors: kinds are `oneOf`, null is allowed
// everywhere (it means the default).
std::string print_schema(const std::function<void(FieldVisitor&)>& visit,
                         const std::string& title = "Lockstep config");

// The word of `known` nearest to `word` (Damerau-Levenshtein ≤ 1/3 of its length + 1), or "".
std::string nearest_word(const std::string& word, const std::vector<std::string>& known);

}  // namespace lockstep
