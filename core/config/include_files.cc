// `include:` of shared config files.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "core/config/yaml_parse.h"
#include "core/files.h"

namespace lockstep {
namespace {

constexpr size_t kMaxFiles =
    64;  // read for one config, so that files that include each other twice stay cheap
constexpr size_t kMaxFileBytes = (size_t{1} << 20) + 3;

// One config being read: the chain of files that are open, and how many were read in all.
class Reading {
 public:
  Node file(const std::string& path) {
    std::string text;
    try {
      text = read_file(path, kMaxFileBytes);
    } catch (const Error& error) {
      throw ConfigError(error.fact(), error.help(), error.place());
    }
    return document(text, path);
  }

  Node document(const std::string& text, const std::string& name) {
    std::error_code ignored;
    chain_.push_back(fs::weakly_canonical(name, ignored).string());
    Node own = parse_yaml_document(text, name);
    Node result;
    result.place = own.place;
    for (const Node& entry : take_includes(own)) overlay(result, included(entry, name));
    overlay(result, std::move(own));
    chain_.pop_back();
    return result;
  }

 private:
  // The file names under `include`, which leaves the tree.
  static std::vector<Node> take_includes(Node& root) {
    for (size_t i = 0; i < root.entries.size(); ++i) {
      if (root.entries[i].first != "include") continue;
      Node value = std::move(root.entries[i].second);
      root.entries.erase(root.entries.begin() + static_cast<std::ptrdiff_t>(i));
      root.key_places.erase(root.key_places.begin() + static_cast<std::ptrdiff_t>(i));
      if (value.type == Node::Type::kNull) return {};
      if (value.type == Node::Type::kScalar) return {std::move(value)};
      if (value.type == Node::Type::kSequence) return std::move(value.items);
      throw ConfigError("'include' must be a file name or a list of them",
                        "write include: shared.yaml", value.place);
    }
    return {};
  }

  Node included(const Node& entry, const std::string& from) {
    if (entry.type != Node::Type::kScalar || entry.scalar.empty())
      throw ConfigError("'include' must be a file name or a list of them",
                        "write include: shared.yaml", entry.place);
    const fs::path path = (fs::path(from).parent_path() / entry.scalar).lexically_normal();
    std::error_code failed;
    if (!fs::is_regular_file(path, failed))
      throw ConfigError(fmt::format("included file '{}' does not exist", path.string()),
                        "paths of 'include' start at the folder of the file that includes",
                        entry.place);
    const std::string canonical = fs::weakly_canonical(path, failed).string();
    if (std::find(chain_.begin(), chain_.end(), canonical) != chain_.end())
      throw ConfigError(fmt::format("'{}' includes itself", path.string()),
                        "remove one 'include' of the circle", entry.place);
    if (++files_ > kMaxFiles)
      throw ConfigError(fmt::format("more than {} included files", kMaxFiles), "", entry.place);
    return file(path.string());
  }

  std::vector<std::string> chain_;
  size_t files_ = 0;
};

bool changes_kind(const Node& base, const Node& over) {
  const Node *old_kind = base.find("kind"), *new_kind = over.find("kind");
  return new_kind != nullptr && new_kind->type == Node::Type::kScalar && old_kind != nullptr &&
         old_kind->scalar != new_kind->scalar;
}

}  // namespace

Node parse_yaml_file(const std::string& path) { return Reading().file(path); }
Node parse_yaml_text(const std::string& text, const std::string& name) {
  return Reading().document(text, name);
}

void expand_shorthand(Node& node) {
  if (node.type != Node::Type::kScalar) return;
  Node kind = std::move(node);
  node = Node{};
  node.type = Node::Type::kMap;
  node.place = kind.place;
  node.source = kind.source;
  node.key_places.push_back(kind.place);
  node.entries.emplace_back("kind", std::move(kind));
}

void overlay(Node& base, Node over) {
  if (over.type == Node::Type::kMap) expand_shorthand(base);
  if (base.type != Node::Type::kMap || over.type != Node::Type::kMap || changes_kind(base, over)) {
    if (over.type != Node::Type::kNull || base.type == Node::Type::kNull || !over.source.empty())
      base = std::move(over);
    return;
  }
  for (size_t i = 0; i < over.entries.size(); ++i) {
    auto& [key, value] = over.entries[i];
    if (Node* old = base.find(key)) {
      overlay(*old, std::move(value));
    } else {
      base.entries.emplace_back(key, std::move(value));
      base.key_places.push_back(over.key_places[i]);
    }
  }
}

const Node* Node::find(const std::string& key) const {
  for (const auto& [name, value] : entries)
    if (name == key) return &value;
  return nullptr;
}

Node* Node::find(const std::string& key) {
  return const_cast<Node*>(static_cast<const Node*>(this)->find(key));
}

}  // namespace lockstep
