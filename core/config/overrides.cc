// Overrides of the command line: Hydra's grammar for the common cases
// (hydra.cc/docs/advanced/override_grammar/basic), with a caret under what is wrong.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "core/config/yaml_parse.h"
#include "core/text_lines.h"

namespace lockstep {
namespace {

constexpr size_t kLongestOverride = size_t{1} << 16;
constexpr int kDeepestOverride = 64;
const char* const kGrammar = "write KEY=VALUE, +KEY=VALUE or ~KEY; for example optimizer.lr=1e-3";

// One override's text, parsed left to right.
class OverrideParser {
 public:
  explicit OverrideParser(const std::string& text) : text_(text), lines_("command line", text) {}

  void apply(Node& root) {
    check();
    const bool removes = accept("~");
    if (!removes && accept("+")) accept("+");
    const std::vector<std::pair<std::string, size_t>> keys = parse_keys();
    if (removes) {
      if (at_ < text_.size()) fail("'~' takes a key alone", "write " + text_.substr(0, at_));
      return set(root, keys, make(Node::Type::kNull, 0), true);
    }
    if (!accept("=")) fail("no '=' behind the key", kGrammar);
    set(root, keys, parse_whole_value(), false);
  }

 private:
  [[noreturn]] void fail(const std::string& fact, const std::string& help) const {
    fail_at(at_, fact, help);
  }
  [[noreturn]] void fail_at(size_t at, const std::string& fact, const std::string& help) const {
    throw ConfigError(fact, help, place(at));
  }
  Place place(size_t at) const {
    Place place = lines_.at(0, static_cast<int>(at));
    place.line = 0;  // the command line has no lines
    return place;
  }
  Node make(Node::Type type, size_t at) const {
    Node node;
    node.type = type;
    node.place = place(at);
    node.source = "command line: " + text_;
    return node;
  }

  void check() const {
    if (text_.size() > kLongestOverride)
      throw ConfigError(
          fmt::format("an override of {} bytes, more than {}", text_.size(), kLongestOverride),
          "write the value into a file", {"command line"});
    for (size_t i = 0, length = 0; i < text_.size(); i += length) {
      length = utf8_length(text_, i);
      if (length == 0) fail_at(i, "not valid UTF-8", kGrammar);
      if (static_cast<unsigned char>(text_[i]) < 0x20 || text_[i] == 0x7F)
        fail_at(i, "a control character", "remove it");
    }
  }

  bool accept(std::string_view word) {
    if (text_.compare(at_, word.size(), word) != 0) return false;
    at_ += word.size();
    return true;
  }
  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  // Segments of a dotted key with the offset of each.
  std::vector<std::pair<std::string, size_t>> parse_keys() {
    std::vector<std::pair<std::string, size_t>> keys;
    do {
      const size_t begin = at_;
      while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '_' || peek() == '-')
        ++at_;
      if (at_ == begin) fail("a key is missing here", kGrammar);
      keys.emplace_back(text_.substr(begin, at_ - begin), begin);
    } while (accept("."));
    if (keys.size() > static_cast<size_t>(kDeepestOverride))
      fail("a key of too many parts", kGrammar);
    return keys;
  }

  Node parse_whole_value() {
    skip_spaces();
    const size_t begin = at_;
    const char first = peek();
    Node node = first == '[' || first == '{' || first == '\'' || first == '"' ? parse_value(0)
                                                                              : parse_word(false);
    skip_spaces();
    if (at_ < text_.size())
      fail(fmt::format("'{}' behind the value", text_.substr(at_, 1)),
           text_[at_] == ',' ? "write [1, 2] for a list, or put the text in quotes"
                             : "put the text in quotes");
    node.place = place(begin);
    return node;
  }

  Node parse_value(int depth) {
    if (depth > kDeepestOverride)
      fail(fmt::format("nested deeper than {} levels", kDeepestOverride), "");
    skip_spaces();
    if (peek() == '[') return parse_list(depth);
    if (peek() == '{') return parse_map(depth);
    if (peek() == '\'' || peek() == '"') return parse_quoted();
    return parse_word(true);
  }

  Node parse_list(int depth) {
    Node node = make(Node::Type::kSequence, at_++);
    for (skip_spaces(); !accept("]"); skip_spaces()) {
      if (!node.items.empty() && !accept(",")) fail("']' or ',' is missing here", "write [1, 2]");
      skip_spaces();
      if (peek() == ',' || peek() == ']') fail("a value is missing here", "write [1, 2]");
      node.items.push_back(parse_value(depth + 1));
    }
    return node;
  }

  Node parse_map(int depth) {
    Node node = make(Node::Type::kMap, at_++);
    for (skip_spaces(); !accept("}"); skip_spaces()) {
      if (!node.entries.empty() && !accept(","))
        fail("'}' or ',' is missing here", "write {a: 1, b: 2}");
      skip_spaces();
      const size_t begin = at_;
      while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '_' || peek() == '-')
        ++at_;
      const std::string key = text_.substr(begin, at_ - begin);
      if (key.empty()) fail("a key is missing here", "write {a: 1, b: 2}");
      skip_spaces();
      if (!accept(":")) fail("':' is missing here", "write {a: 1, b: 2}");
      if (node.find(key) != nullptr)
        fail_at(begin, fmt::format("key '{}' is given twice", key), "keep one");
      skip_spaces();
      node.key_places.push_back(place(begin));
      node.entries.emplace_back(key, parse_value(depth + 1));
    }
    return node;
  }

  // '…' or "…": a backslash escapes the quote and itself.
  Node parse_quoted() {
    const size_t begin = at_;
    Node node = make(Node::Type::kScalar, begin);
    const char quote = text_[at_++];
    node.quoted = true;
    for (; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size() &&
          (text_[at_ + 1] == quote || text_[at_ + 1] == '\\'))
        ++at_;
      node.scalar += text_[at_];
    }
    if (at_ >= text_.size())
      fail_at(begin, "the quote is not closed", "close it, or escape it with a backslash");
    ++at_;
    return node;
  }

  // Text without quotes; `inside` a list or map. A backslash escapes what has a meaning.
  Node parse_word(bool inside) {
    const size_t begin = at_;
    Node node = make(Node::Type::kScalar, begin);
    size_t kept = 0;  // length without trailing spaces
    for (; at_ < text_.size(); ++at_) {
      char c = text_[at_];
      const bool escaped =
          c == '\\' && at_ + 1 < text_.size() &&
          std::string_view("\\()[]{}:=, ~+'\"").find(text_[at_ + 1]) != std::string_view::npos;
      if (escaped) c = text_[++at_];
      if (!escaped && std::string_view("[]{},").find(c) != std::string_view::npos) break;
      node.scalar += c;
      if (c != ' ' || escaped) kept = node.scalar.size();
    }
    node.scalar.resize(kept);
    if (inside && kept == 0)
      fail(at_ < text_.size() ? "a value is missing here" : "the value ends too early",
           "close the bracket");
    if (kept == 0 || (node.scalar == "null" && at_ - begin >= 4)) node.type = Node::Type::kNull;
    return node;
  }

  // Walks to the last key, making maps on the way, and puts `value` there.
  void set(Node& root, const std::vector<std::pair<std::string, size_t>>& keys, Node value,
           bool removes) {
    Node* node = &root;
    if (node->type == Node::Type::kNull) node->type = Node::Type::kMap;
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto& [key, at] = keys[i];
      const bool last = i + 1 == keys.size();
      if (node->type == Node::Type::kSequence && last && removes) {
        const size_t index = list_index(*node, key, at, node->items.size());
        node->items.erase(node->items.begin() + static_cast<std::ptrdiff_t>(index));
        return;
      }
      node = &child(*node, key, at);
    }
    if (removes) *node = Node{};
    if (value.type == Node::Type::kMap)
      overlay(*node, std::move(value));
    else
      *node = std::move(value);
  }

  Node& child(Node& parent, const std::string& key, size_t at) {
    const bool number =
        std::all_of(key.begin(), key.end(), [](unsigned char c) { return std::isdigit(c); });
    if (parent.type == Node::Type::kNull) {  // so far the default
      parent = make(number ? Node::Type::kSequence : Node::Type::kMap, at);
    }
    if (parent.type == Node::Type::kSequence) {
      const size_t index = list_index(parent, key, at, parent.items.size() + 1);
      if (index == parent.items.size()) parent.items.push_back(make(Node::Type::kNull, at));
      return parent.items[index];
    }
    expand_shorthand(parent);
    if (Node* old = parent.find(key)) return *old;
    parent.key_places.push_back(place(at));
    parent.entries.emplace_back(key, make(Node::Type::kNull, at));
    return parent.entries.back().second;
  }

  size_t list_index(const Node& list, const std::string& key, size_t at, size_t end) const {
    const bool number =
        std::all_of(key.begin(), key.end(), [](unsigned char c) { return std::isdigit(c); });
    if (!number)
      fail_at(at, fmt::format("'{}' in a list", key), "name an element by its number, from 0");
    const size_t index = key.size() > 6 ? end : std::stoul(key);
    if (index >= end)
      fail_at(at, fmt::format("element {} of a list of {}", key, list.items.size()),
              "elements count from 0");
    return index;
  }

  const std::string& text_;
  TextLines lines_;
  size_t at_ = 0;
};

}  // namespace

void apply_overrides(Node& root, const std::vector<std::string>& overrides) {
  for (const std::string& text : overrides) OverrideParser(text).apply(root);
}

}  // namespace lockstep
