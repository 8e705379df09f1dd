// The only file that knows yaml-cpp. Its event interface gives each scalar with its place, and
// lets us refuse anchors, tags and duplicates that its document tree would accept in silence.
#include <sstream>
#include <unordered_map>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "core/config/yaml_parse.h"
#include "core/text_lines.h"

namespace lockstep {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxNodes = 10'000;
constexpr size_t kMaxKeys = 4'096;  // of one map

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const TextLines& lines, std::string_view text) : lines_(lines), text_(text) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0)
      throw ConfigError("a second document", "a config is one document; remove '---' between them",
                        place(mark));
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check(mark, "", anchor);
    if (expects_key())
      throw ConfigError("a key is missing before ':'", "write KEY: VALUE", place(mark));
    add(make(Node::Type::kNull, mark));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw ConfigError("an alias (*)", "write the value out, or share a file through 'include:'",
                      place(mark));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check(mark, tag, anchor);
    if (expects_key()) return take_key(mark, tag, value);
    Node node = make(Node::Type::kScalar, mark);
    node.scalar = value;
    node.quoted = tag == "!";
    const char first = text_[static_cast<size_t>(mark.pos)];
    if (first == '"' || first == '\'') end_of_quoted(mark);
    add(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Node::Type::kSequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Node::Type::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

  Node take() { return std::move(root_); }

 private:
  struct Level {
    Node node;
    std::unordered_map<std::string, size_t> seen;  // key → index in node.entries
    bool has_key = false;
  };

  Place place(const YAML::Mark& mark) const { return lines_.at(mark.line, mark.column); }
  bool expects_key() const {
    return !stack_.empty() && stack_.back().node.type == Node::Type::kMap && !stack_.back().has_key;
  }

  Node make(Node::Type type, const YAML::Mark& mark) {
    if (++nodes_ > kMaxNodes)
      throw ConfigError(fmt::format("more than {} values", kMaxNodes), "a config is short",
                        place(mark));
    Node node;
    node.type = type;
    node.place = place(mark);
    node.source = fmt::format("{}:{}", lines_.file(), node.place.line);
    return node;
  }

  // Anchors and tags, explicit `!` included, which looks like a quoted scalar's tag.
  void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
    const auto at = static_cast<size_t>(mark.pos);
    const char first = mark.pos >= 0 && at < text_.size() ? text_[at] : ' ';
    if (anchor != 0)
      throw ConfigError("an anchor (&)", "write the value out, or share a file through 'include:'",
                        place(mark));
    const bool is_text =
        tag == "!" && std::string_view("\"'|>").find(first) != std::string_view::npos;
    if (first == '!' || !(tag.empty() || tag == "?" || is_text))
      throw ConfigError("a tag (!)", "remove it; the key decides the type", place(mark));
  }

  // The offset behind a quoted scalar. yaml-cpp takes a quote that is still open at the end of the
  // text for closed, so this looks for itself.
  size_t end_of_quoted(const YAML::Mark& mark) const {
    size_t at = static_cast<size_t>(mark.pos);
    const char quote = text_[at++];
    for (; at < text_.size(); ++at) {
      if (quote == '"' && text_[at] == '\\')
        ++at;
      else if (text_[at] == quote && quote == '\'' && at + 1 < text_.size() &&
               text_[at + 1] == quote)
        ++at;
      else if (text_[at] == quote)
        return at + 1;
    }
    throw ConfigError("the quote is not closed", fmt::format("close it with {}", quote),
                      place(mark));
  }

  // yaml-cpp takes a word alone, as the last line or inside {}, for a key with the value null.
  void check_colon(const YAML::Mark& mark, bool quoted, const std::string& key) const {
    const char first = text_[static_cast<size_t>(mark.pos)];
    if (quoted && first != '"' && first != '\'')
      throw ConfigError("a key must be one line", "write KEY: VALUE", place(mark));
    size_t at = quoted ? end_of_quoted(mark) : static_cast<size_t>(mark.pos) + key.size();
    while (at < text_.size() && text_[at] == ' ') ++at;
    if (at < text_.size() && text_[at] == ':') return;
    throw ConfigError(
        fmt::format("no ':' behind the key '{}'", key),
        key.find(':') == std::string::npos ? "write KEY: VALUE" : "put a space behind ':'",
        place(mark));
  }

  void take_key(const YAML::Mark& mark, const std::string& tag, const std::string& key) {
    check_colon(mark, tag == "!", key);
    Level& level = stack_.back();
    if (key == "<<" && tag != "!")
      throw ConfigError("a merge key (<<)",
                        "write the keys out, or share a file through 'include:'", place(mark));
    const auto [old, is_new] = level.seen.emplace(key, level.node.entries.size());
    if (!is_new) {
      const Place& first = level.node.key_places[old->second];
      throw ConfigError(fmt::format("key '{}' is given twice", key),
                        fmt::format("the first one is at {}:{}:{}; keep one", first.file,
                                    first.line, first.column),
                        place(mark));
    }
    if (level.node.entries.size() >= kMaxKeys)
      throw ConfigError(fmt::format("a map of more than {} keys", kMaxKeys), "a config is short",
                        place(mark));
    level.node.entries.emplace_back(key, Node{});
    level.node.key_places.push_back(place(mark));
    level.has_key = true;
  }

  void open(Node::Type type, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    check(mark, tag, anchor);
    if (expects_key()) throw ConfigError("a key must be a word", "write KEY: VALUE", place(mark));
    if (stack_.size() >= kMaxDepth)
      throw ConfigError(fmt::format("nested deeper than {} levels", kMaxDepth), "", place(mark));
    stack_.push_back({make(type, mark), {}, false});
  }

  void close() {
    Node node = std::move(stack_.back().node);
    stack_.pop_back();
    add(std::move(node));
  }

  void add(Node node) {
    if (stack_.empty()) {
      root_ = std::move(node);
    } else if (stack_.back().node.type == Node::Type::kSequence) {
      stack_.back().node.items.push_back(std::move(node));
    } else {
      stack_.back().node.entries.back().second = std::move(node);
      stack_.back().has_key = false;
    }
  }

  const TextLines& lines_;
  std::string_view text_;
  std::vector<Level> stack_;
  Node root_;
  size_t nodes_ = 0;
  int documents_ = 0;
};

// What usually causes yaml-cpp's message.
std::string help_for(const std::string& message) {
  if (message == YAML::ErrorMsg::END_OF_SEQ_FLOW)
    return "']' or ',' is missing, perhaps on a line above";
  if (message == YAML::ErrorMsg::END_OF_MAP_FLOW)
    return "'}' or ',' is missing, perhaps on a line above";
  if (message == YAML::ErrorMsg::END_OF_MAP || message == YAML::ErrorMsg::END_OF_SEQ)
    return "something stands behind a value that is complete, or the indentation differs from the "
           "lines above";
  return "check quotes, brackets, the space behind ':' and the indentation";
}

// Directives (%YAML, %TAG) change how the rest reads.
void refuse_directives(const TextLines& lines, std::string_view text) {
  for (size_t line = 0; line < text.size();) {
    if (text[line] == '%') throw ConfigError("a directive (%)", "remove the line", lines.at(line));
    const size_t end = text.find('\n', line);
    line = end == std::string_view::npos ? text.size() : end + 1;
  }
}

}  // namespace

Node parse_yaml_document(const std::string& whole, const std::string& name) {
  std::string_view text = whole;
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);  // byte order mark
  const TextLines lines(name, text);
  check_text(lines, text, kMaxBytes);
  refuse_directives(lines, text);
  TreeBuilder builder(lines, text);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& problem) {
    if (problem.msg.starts_with(YAML::ErrorMsg::UNKNOWN_ANCHOR)) builder.OnAlias(problem.mark, 0);
    throw ConfigError("not valid YAML: " + problem.msg, help_for(problem.msg),
                      lines.at(problem.mark.line, problem.mark.column));
  }
  Node root = builder.take();
  if (root.type != Node::Type::kMap && root.type != Node::Type::kNull)
    throw ConfigError("a config must be a map", "write KEY: VALUE lines", root.place);
  if (root.place.file.empty()) root.place.file = name;
  return root;
}

}  // namespace lockstep
