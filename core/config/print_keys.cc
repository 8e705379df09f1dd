// The list of all keys for people: `config keys` and help.
#include <algorithm>

#include <fmt/format.h>

#include "core/config/config_node.h"
#include "core/config/print_tree.h"

namespace lockstep {
namespace {

struct Row {
  std::string path, type, value, limits, doc;
};

class KeyList {
 public:
  std::vector<Row> rows;

  // `kind` is put before the doc of keys that only one kind of a choice has.
  void map(const Printed& node, const std::string& kind, int depth) {
    for (const Printed& child : node.children) {
      if (child.kinds != nullptr)
        choice(child, depth);
      else if (child.type == Printed::Type::kMap)
        map(child, kind, depth);
      else
        leaf(child, kind);
      for (const Printed& element : child.sample) map(element, kind, depth);
    }
  }

 private:
  void leaf(const Printed& node, const std::string& kind) {
    std::string limits;
    if (!node.rule.words.empty())
      limits = fmt::format("{}", fmt::join(node.rule.words, " | "));
    else if (node.rule.range)
      limits = describe_range(*node.rule.range);
    const std::string value =
        node.type == Printed::Type::kList ? (node.children.empty() ? "[]" : "[...]") : node.yaml;
    rows.push_back({node.path, node.kind_name, value, limits,
                    kind.empty() ? node.doc : "(" + kind + ") " + node.doc});
  }

  // All kinds with their defaults; the chosen one with its values.
  void choice(const Printed& node, int depth) {
    constexpr int kMaxDepth = 8;  // a kind that holds a choice of its own table would never end
    const bool is_list = node.type == Printed::Type::kList;
    const std::string path = is_list ? node.path + ".N" : node.path;
    std::vector<std::string> names;
    for (const Kind& row : node.kinds->rows()) names.push_back(row.name);
    const bool chosen = !is_list && !node.children.empty();
    const std::string current = chosen ? node.children[0].yaml : is_list ? "" : "null";
    rows.push_back(
        {path + ".kind", "choice", current, fmt::format("{}", fmt::join(names, " | ")), node.doc});
    if (depth >= kMaxDepth) return;
    for (const Kind& row : node.kinds->rows()) {
      Printed options;
      if (chosen && row.name == current) {
        options = node;
        options.children.erase(options.children.begin());
      } else {
        const std::unique_ptr<Options> defaults = row.options();
        options = print_fields([&](FieldVisitor& v) { defaults->visit(v); }, path);
      }
      map(options, row.name, depth + 1);
    }
  }
};

std::string pad(const std::string& text, size_t width) {
  return text.size() < width ? text + std::string(width - text.size(), ' ') : text;
}

}  // namespace

std::string print_keys(const std::function<void(FieldVisitor&)>& visit, const std::string& prefix) {
  KeyList list;
  list.map(print_fields(visit), "", 0);
  std::erase_if(list.rows,
                [&](const Row& row) { return row.path.compare(0, prefix.size(), prefix) != 0; });
  constexpr size_t kWidest = 44;  // a long cell moves its own line only
  size_t widths[3] = {0, 0, 0};
  for (const Row& row : list.rows) {
    widths[0] = std::max(widths[0], std::min(row.path.size(), kWidest));
    widths[1] = std::max(widths[1], std::min(row.type.size(), kWidest));
    widths[2] = std::max(widths[2], std::min(row.value.size(), kWidest / 2));
  }
  std::string out;
  for (const Row& row : list.rows) {
    std::string line = pad(row.path, widths[0]) + "  " + pad(row.type, widths[1]) + "  " +
                       pad(row.value, widths[2]);
    if (!row.limits.empty()) line += "  " + row.limits;
    if (!row.doc.empty()) line += "  # " + row.doc;
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace lockstep
