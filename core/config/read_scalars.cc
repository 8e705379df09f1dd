#include "core/config/read_scalars.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "core/config/print_tree.h"

namespace lockstep {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The parts of a number's text: sign, whole digits, fraction, exponent.
struct NumberText {
  bool valid = false;         // the shape of a number
  bool whole = false;         // no fraction, no exponent
  bool leading_zero = false;  // 010
  std::string digits;         // without '_' and '+', for from_chars
};

NumberText split_number(const std::string& text) {
  NumberText out;
  size_t i = 0;
  const auto take_digits = [&]() -> size_t {  // count of digits; '_' only between digits
    size_t count = 0;
    for (; i < text.size(); ++i) {
      if (is_digit(text[i])) {
        out.digits += text[i];
        ++count;
      } else if (text[i] != '_' || count == 0 || i + 1 >= text.size() || !is_digit(text[i + 1])) {
        break;
      }
    }
    return count;
  };
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) {
    if (text[i] == '-') out.digits += '-';
    ++i;
  }
  const size_t first = i;
  size_t count = take_digits();
  out.leading_zero = count > 1 && text[first] == '0';
  out.whole = true;
  if (i < text.size() && text[i] == '.') {
    out.whole = false;
    out.digits += '.';
    ++i;
    count += take_digits();
  }
  if (count == 0) return out;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    out.whole = false;
    out.digits += 'e';
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) out.digits += text[i++];
    if (take_digits() == 0) return out;
  }
  out.valid = i == text.size();
  return out;
}

[[noreturn]] void wrong(const Node& node, const std::string& path, const std::string& wanted,
                        const std::string& help) {
  throw ConfigError(fmt::format("'{}' must be {}, got {}", path, wanted, describe(node)), help,
                    node.place);
}

void check_range(double value, const Node& node, const std::string& path, const Rule& rule) {
  if (!rule.range) return;
  const Range& range = *rule.range;
  if (value >= range.low && value <= range.high && !(range.above_low && value == range.low)) return;
  throw ConfigError(fmt::format("'{}' is {}, must be {}", path, node.scalar, describe_range(range)),
                    "", node.place);
}

const char* const kLeadingZero =
    "remove the leading zero (some YAML readers would take it as octal)";

NumberText number_text(const Node& node, const std::string& path, const std::string& wanted) {
  if (node.type != Node::Type::kScalar) wrong(node, path, wanted, "");
  if (node.quoted)
    wrong(node, path, wanted, split_number(node.scalar).valid ? "remove the quotes" : "");
  NumberText text = split_number(node.scalar);
  if (text.valid && text.leading_zero) wrong(node, path, wanted, kLeadingZero);
  return text;
}

}  // namespace

std::string describe(const Node& node) {
  constexpr size_t kShown = 60;
  switch (node.type) {
    case Node::Type::kNull:
      return "null";
    case Node::Type::kSequence:
      return "a list";
    case Node::Type::kMap:
      return "a map";
    case Node::Type::kScalar:
      break;
  }
  const std::string text =
      node.scalar.size() > kShown ? node.scalar.substr(0, kShown) + "..." : node.scalar;
  if (node.quoted) return "the string '" + text + "'";
  return "'" + text + "'";
}

std::string quoted_list(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "'" : ", '") + word + "'";
  return out;
}

int64_t read_integer(const Node& node, const std::string& path, const Rule& rule) {
  const NumberText text = number_text(node, path, "an integer");
  if (!text.valid) {
    const bool other_base = node.scalar.size() > 2 && node.scalar[0] == '0' &&
                            std::string("xXoObB").find(node.scalar[1]) != std::string::npos;
    wrong(node, path, "an integer", other_base ? "write it in decimal" : "");
  }
  if (!text.whole) wrong(node, path, "an integer", "write it with digits alone: 3, not 3.0 or 3e0");
  int64_t value = 0;
  const auto [end, problem] =
      std::from_chars(text.digits.data(), text.digits.data() + text.digits.size(), value);
  if (problem != std::errc())
    throw ConfigError(fmt::format("'{}' is {}, more than 64 bits hold", path, node.scalar), "",
                      node.place);
  check_range(static_cast<double>(value), node, path, rule);
  return value;
}

double read_double(const Node& node, const std::string& path, const Rule& rule) {
  const NumberText text = number_text(node, path, "a number");
  if (!text.valid) {
    std::string word = node.scalar;
    std::transform(word.begin(), word.end(), word.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    const bool negative = !word.empty() && word[0] == '-';
    if (negative || (!word.empty() && word[0] == '+')) word.erase(0, 1);
    if (word == ".nan" || word == "nan") wrong(node, path, "a number", "NaN is refused");
    const bool infinite = word == ".inf" || word == "inf" || word == "infinity";
    if (!infinite) wrong(node, path, "a number", "");
    if (!rule.range || !rule.range->infinite)
      wrong(node, path, "a finite number", "infinity is refused here");
    return negative ? -HUGE_VAL : HUGE_VAL;
  }
  double value = 0;
  const auto [end, problem] =
      std::from_chars(text.digits.data(), text.digits.data() + text.digits.size(), value);
  if (problem != std::errc() || !std::isfinite(value))
    throw ConfigError(
        fmt::format("'{}' is {}, outside the range of double precision", path, node.scalar), "",
        node.place);
  check_range(value, node, path, rule);
  return value;
}

bool read_bool(const Node& node, const std::string& path) {
  if (node.type == Node::Type::kScalar && !node.quoted) {
    if (node.scalar == "true") return true;
    if (node.scalar == "false") return false;
  }
  wrong(node, path, "true or false", "write true or false");
}

std::string read_string(const Node& node, const std::string& path, const Rule& rule) {
  if (node.type != Node::Type::kScalar) wrong(node, path, "text", "");
  if (rule.words.empty() ||
      std::find(rule.words.begin(), rule.words.end(), node.scalar) != rule.words.end())
    return node.scalar;
  const std::string nearest = nearest_word(node.scalar, rule.words);
  std::string help = nearest.empty() ? "" : "did you mean '" + nearest + "'? ";
  wrong(node, path, "one of " + quoted_list(rule.words),
        nearest.empty() ? "" : help.substr(0, help.size() - 1));
}

}  // namespace lockstep
