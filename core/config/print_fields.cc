// The resolved config as YAML with the source of each value, and as JSON for the config hash.
#include <algorithm>

#include "core/config/config_node.h"
#include "core/config/print_tree.h"
#include "core/json_text.h"

namespace lockstep {
namespace {

class YamlWriter {
 public:
  explicit YamlWriter(const Sources* sources) : sources_(sources) {}

  // The children of a map, each line indented; `dash` puts "- " before the first.
  void map(const Printed& node, size_t indent, bool dash) {
    for (const Printed& child : node.children) {
      out_ += dash ? std::string(indent - 2, ' ') + "- " : std::string(indent, ' ');
      dash = false;
      out_ += child.name + ":";
      value(child, indent);
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void value(const Printed& node, size_t indent) {
    constexpr size_t kWidest = 100;  // longer lists take a line an element
    if (node.type == Printed::Type::kLeaf && node.yaml.size() > kWidest && node.items.size() > 1) {
      line("", node.path);
      for (const std::string& item : node.items)
        out_ += std::string(indent + 2, ' ') + "- " + item + "\n";
      return;
    }
    if (node.type == Printed::Type::kLeaf) return line(" " + node.yaml, node.path);
    if (node.children.empty())
      return line(node.type == Printed::Type::kMap ? " {}" : " []", node.path);
    out_ += "\n";
    if (node.type == Printed::Type::kMap) return map(node, indent + 2, false);
    for (const Printed& element : node.children) {
      if (element.type == Printed::Type::kMap && !element.children.empty()) {
        map(element, indent + 4, true);
      } else {
        out_ += std::string(indent + 2, ' ') + "-";
        line(element.type == Printed::Type::kMap ? " {}" : " " + element.yaml, element.path);
      }
    }
  }

  void line(const std::string& text, const std::string& path) {
    out_ += text;
    if (sources_ != nullptr) {
      const auto source = sources_->find(path);
      std::string where = source == sources_->end() ? "default" : source->second;
      std::replace_if(
          where.begin(), where.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
      out_ += "  # " + where;
    }
    out_ += "\n";
  }

  const Sources* sources_;
  std::string out_;
};

void write_json(const Printed& node, const std::vector<std::string>& skip, std::string& out) {
  if (node.type == Printed::Type::kLeaf) {
    out += node.json;
    return;
  }
  const bool is_map = node.type == Printed::Type::kMap;
  out += is_map ? '{' : '[';
  bool first = true;
  for (const Printed& child : node.children) {
    if (std::find(skip.begin(), skip.end(), child.path) != skip.end()) continue;
    if (!first) out += ',';
    first = false;
    if (is_map) out += quote_json(child.name) + ":";
    write_json(child, skip, out);
  }
  out += is_map ? '}' : ']';
}

}  // namespace

std::string print_yaml(const std::function<void(FieldVisitor&)>& visit, const Sources* sources) {
  YamlWriter writer(sources);
  writer.map(print_fields(visit), 0, false);
  return writer.take();
}

std::string print_json(const std::function<void(FieldVisitor&)>& visit,
                       const std::vector<std::string>& skip) {
  std::string out;
  write_json(print_fields(visit), skip, out);
  return out;
}

}  // namespace lockstep
