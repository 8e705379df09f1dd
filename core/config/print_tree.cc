#include "core/config/print_tree.h"
#include "core/config/overloaded.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "core/json_text.h"

namespace lockstep {
namespace {

bool is_word_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '/' || c == '.' || c == '-';
}

// Text that every YAML reader takes as the same string without quotes.
bool is_plain(const std::string& text) {
  static const char* const kTaken[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_word_char)) return false;
  const char first = text[0];
  if (!((first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first == '_' ||
        first == '/'))
    return false;
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return std::find(std::begin(kTaken), std::end(kTaken), lower) == std::end(kTaken);
}

struct Text {
  std::string yaml, json;
  std::vector<std::string> items;
};

Text text_of(bool value) { return {value ? "true" : "false", value ? "true" : "false"}; }
Text text_of(int64_t value) { return {std::to_string(value), std::to_string(value)}; }
Text text_of(double value) {
  const std::string text = format_double(value);
  return {text, std::isfinite(value) ? text : quote_json(text)};
}
Text text_of(const std::string& value) {
  return {is_plain(value) ? value : quote_json(value), quote_json(value)};
}
template <class T>
Text text_of(const std::optional<T>& value) {
  return value ? text_of(*value) : Text{"null", "null"};
}
template <class T>
Text text_of(const Auto<T>& value) {
  return value.is_auto() ? Text{"auto", "\"auto\""} : text_of(*value);
}
template <class T>
Text text_of(const std::vector<T>& values) {
  Text out{"[", "["};
  for (size_t i = 0; i < values.size(); ++i) {
    const Text one = text_of(values[i]);
    out.yaml += (i ? ", " : "") + one.yaml;
    out.json += (i ? "," : "") + one.json;
    out.items.push_back(one.yaml);
  }
  out.yaml += "]";
  out.json += "]";
  return out;
}

Text text_of(const std::vector<bool>& values) {
  Text out{"[", "["};
  for (size_t i = 0; i < values.size(); ++i) {
    const char* word = values[i] ? "true" : "false";
    out.yaml += std::string(i ? ", " : "") + word;
    out.json += std::string(i ? "," : "") + word;
    out.items.push_back(word);
  }
  out.yaml += "]";
  out.json += "]";
  return out;
}
template <class T>
Text text_of(const OneOrList<T>& value) {
  return value.one || value.each.empty() ? text_of(value.one) : text_of(value.each);
}

template <class T>
struct TypeWords;
template <>
struct TypeWords<bool> {
  static constexpr const char* kText = "true or false";
};
template <>
struct TypeWords<int64_t> {
  static constexpr const char* kText = "integer";
};
template <>
struct TypeWords<double> {
  static constexpr const char* kText = "number";
};
template <>
struct TypeWords<std::string> {
  static constexpr const char* kText = "text";
};
template <class T>
struct TypeWords<std::optional<T>> : TypeWords<T> {};
template <>
struct TypeWords<Auto<bool>> {
  static constexpr const char* kText = "auto, true or false";
};
template <>
struct TypeWords<Auto<int64_t>> {
  static constexpr const char* kText = "auto or integer";
};
template <>
struct TypeWords<Auto<double>> {
  static constexpr const char* kText = "auto or number";
};
template <>
struct TypeWords<OneOrList<bool>> {
  static constexpr const char* kText = "true or false, or a list";
};
template <>
struct TypeWords<OneOrList<int64_t>> {
  static constexpr const char* kText = "integer, or a list";
};
template <>
struct TypeWords<std::vector<int64_t>> {
  static constexpr const char* kText = "list of integers";
};
template <>
struct TypeWords<std::vector<double>> {
  static constexpr const char* kText = "list of numbers";
};
template <>
struct TypeWords<std::vector<std::string>> {
  static constexpr const char* kText = "list of texts";
};

class TreePrinter final : public FieldVisitor {
 public:
  explicit TreePrinter(Printed& out) : out_(out) {}

  void field(const Field& field) override {
    Printed one;
    one.name = field.name;
    one.path = out_.path.empty() ? field.name : out_.path + "." + field.name;
    one.doc = field.doc;
    one.rule = field.rule;
    std::visit(Overloaded{
                   [&](const auto* value) { leaf(one, *value); },
                   [&](Choice* choice) { print_choice(one, *choice); },
                   [&](const ChoiceList& list) {
                     one.kinds = list.kinds;
                     print_list(one, list.items->size(), [&](size_t i, Printed& element) {
                       print_choice(element, (*list.items)[i]);
                     });
                   },
                   [&](const Section& section) { print_section(one, section.visit); },
                   [&](const SectionList& list) {
                     const auto print_one = [&](size_t i, Printed& element) {
                       print_section(element, [&](FieldVisitor& v) { list.visit(i, v); });
                     };
                     print_list(one, list.size(), print_one);
                     if (list.size() > 0) return;
                     list.resize(1);
                     one.sample.resize(1);
                     one.sample[0].path = one.path + ".N";
                     print_one(0, one.sample[0]);
                     list.resize(0);
                   },
               },
               field.value);
    out_.children.push_back(std::move(one));
  }

 private:
  template <class T>
  static void leaf(Printed& out, const T& value) {
    Text text = text_of(value);
    out.yaml = std::move(text.yaml);
    out.json = std::move(text.json);
    out.items = std::move(text.items);
    out.kind_name = TypeWords<T>::kText;
  }

  static void print_section(Printed& out, const std::function<void(FieldVisitor&)>& visit) {
    out.type = Printed::Type::kMap;
    TreePrinter printer(out);
    visit(printer);
  }

  static void print_choice(Printed& out, const Choice& choice) {
    out.kinds = choice.kinds;
    if (choice.options == nullptr) {
      out.yaml = out.json = "null";
      out.kind_name = "choice";
      return;
    }
    print_section(out, [&](FieldVisitor& v) {
      std::string kind = choice.kind;
      v.field({"kind", &kind, {{}, {}}, ""});
      choice.options->visit(v);
    });
  }

  template <class Element>
  static void print_list(Printed& out, size_t size, Element print_element) {
    out.type = Printed::Type::kList;
    out.kind_name = "list of maps";
    for (size_t i = 0; i < size; ++i) {
      Printed element;
      element.name = std::to_string(i);
      element.path = out.path + "." + element.name;
      print_element(i, element);
      out.children.push_back(std::move(element));
    }
  }

  Printed& out_;
};

}  // namespace

Printed print_fields(const std::function<void(FieldVisitor&)>& visit, const std::string& path) {
  Printed root;
  root.type = Printed::Type::kMap;
  root.path = path;
  TreePrinter printer(root);
  visit(printer);
  return root;
}

std::string describe_range(const Range& range) {
  constexpr double kExact = 1e15;  // whole numbers below are shown with digits alone
  const auto number = [](double value) {
    const bool whole = std::abs(value) < kExact && value == std::floor(value);
    return whole ? std::to_string(static_cast<int64_t>(value)) : format_double(value);
  };
  const bool has_low = std::isfinite(range.low), has_high = std::isfinite(range.high);
  const std::string low = (range.above_low ? "greater than " : "at least ") + number(range.low);
  if (has_low && has_high)
    return range.above_low ? low + " and at most " + number(range.high)
                           : "between " + number(range.low) + " and " + number(range.high);
  if (has_low) return low;
  return has_high ? "at most " + number(range.high) : "any number";
}

}  // namespace lockstep
