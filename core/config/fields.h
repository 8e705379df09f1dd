// One list of fields per options struct.
//
// An options struct names each field once, in
//     void fields(FieldVisitor& visit) {
//       visit("bucket_megabytes", bucket_megabytes, Range{1, 1024}, "MiB per exchange");
//     }
// and reading YAML, printing the resolved config, `--help`, the JSON Schema and
// the config hash are visitors over that list. The visitor is not a template:
// options headers stay cheap to compile.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/errors.h"

namespace lockstep {

class FieldVisitor;
class KindList;
struct Choice;

// A value or the word `auto` (no value: the plan decides).
template <class T>
struct Auto {
  std::optional<T> value;
  Auto() = default;
  Auto(T v) : value(std::move(v)) {}
  bool is_auto() const { return !value.has_value(); }
  const T& operator*() const { return *value; }
  bool operator==(const Auto&) const = default;
};

// One value for all, or a list with one for each (stages of a network …); neither: the default.
template <class T>
struct OneOrList {
  std::optional<T> one;
  std::vector<T> each;
  bool operator==(const OneOrList&) const = default;
};

// Inclusive limits of a number (of every element of a list).
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool above_low = false;  // true: `low` itself is refused
  bool infinite = false;   // true: `.inf` and `-.inf` are accepted as well (NaN never is)
};
inline Range at_least(double low) { return {low}; }
inline Range above(double low) { return {low, std::numeric_limits<double>::infinity(), true}; }

// The allowed words of a string.
struct OneOf {
  std::vector<std::string> words;
};

// What a value must satisfy.
struct Rule {
  std::optional<Range> range;
  std::vector<std::string> words;
};

// A nested options struct.
struct Section {
  std::function<void(FieldVisitor&)> visit;
};

// A list of nested options structs. `resize` makes default elements.
struct SectionList {
  std::function<size_t()> size;
  std::function<void(size_t)> resize;
  std::function<void(size_t, FieldVisitor&)> visit;
};

// A list of choices (`evaluate: [{kind: …}, …]`): elements are added by kind.
struct ChoiceList {
  const KindList* kinds;
  std::vector<Choice>* items;
};

using FieldValue =
    std::variant<bool*, int64_t*, double*, std::string*, std::vector<int64_t>*,
                 std::vector<double>*, std::vector<std::string>*, std::optional<int64_t>*,
                 std::optional<double>*, std::optional<std::string>*, Auto<int64_t>*, Auto<bool>*,
                 Auto<double>*, OneOrList<int64_t>*, OneOrList<bool>*, Choice*, ChoiceList, Section,
                 SectionList>;

struct Field {
  std::string name;
  FieldValue value;
  Rule rule;
  std::string doc;  // one line, unit included
};

namespace detail {
template <class T>
concept HasFields = requires(T& t, FieldVisitor& v) { t.fields(v); };
template <class T>
struct IsSectionVector : std::false_type {};
template <HasFields T>
struct IsSectionVector<std::vector<T>> : std::true_type {};
}  // namespace detail

class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  // Called once per field, in the order of the list.
  virtual void field(const Field& field) = 0;

  template <class T>
  void operator()(const char* name, T& value, const char* doc = "") {
    field({name, wrap(value), {}, doc});
  }
  template <class T>
  void operator()(const char* name, T& value, Range range, const char* doc = "") {
    field({name, wrap(value), {range, {}}, doc});
  }
  template <class T>
  void operator()(const char* name, T& value, OneOf one_of, const char* doc = "") {
    field({name, wrap(value), {{}, std::move(one_of.words)}, doc});
  }
  // A list of choices from one table.
  void operator()(const char* name, std::vector<Choice>& items, const KindList& kinds,
                  const char* doc = "") {
    field({name, ChoiceList{&kinds, &items}, {}, doc});
  }

 private:
  template <class T>
  static FieldValue wrap(T& value) {
    if constexpr (detail::HasFields<T>) {
      return Section{[&value](FieldVisitor& v) { value.fields(v); }};
    } else if constexpr (detail::IsSectionVector<T>::value) {
      return SectionList{[&value] { return value.size(); }, [&value](size_t n) { value.resize(n); },
                         [&value](size_t i, FieldVisitor& v) { value[i].fields(v); }};
    } else {
      return FieldValue{&value};
    }
  }
};

// Options of one kind, type-erased. Made from any struct with `fields`.
class Options {
 public:
  virtual ~Options() = default;
  virtual void visit(FieldVisitor& visitor) = 0;
  virtual std::unique_ptr<Options> clone() const = 0;
};

template <class T>
class OptionsOf final : public Options {
 public:
  T value;
  void visit(FieldVisitor& visitor) override { value.fields(visitor); }
  std::unique_ptr<Options> clone() const override { return std::make_unique<OptionsOf<T>>(*this); }
};

// One row of a table of kinds, without its maker: enough to read its options.
struct Kind {
  std::string name;
  std::string doc;
  std::function<std::unique_ptr<Options>()> options;
};

// The names of one table ("optimizer", "task" …). Tables live in core/config/kinds.h.
class KindList {
 public:
  explicit KindList(std::string what) : what_(std::move(what)) {}
  const std::string& what() const { return what_; }
  const std::vector<Kind>& rows() const { return rows_; }
  const Kind* find(const std::string& name) const {
    for (const Kind& row : rows_)
      if (row.name == name) return &row;
    return nullptr;
  }
  // Adds the rows of another list, behind those that are there. Of equal names the first stays:
  // lists that share a kind must give it the same options.
  void append(const KindList& more) {
    for (const Kind& row : more.rows()) {
      if (find(row.name) != nullptr) continue;
      rows_.push_back(row);
    }
  }

 protected:
  std::string what_;
  std::vector<Kind> rows_;
};

// `{kind: NAME, …options of that kind}`. Starts as the table's row `kind`.
struct Choice {
  const KindList* kinds = nullptr;
  std::string kind;
  std::shared_ptr<Options> options;  // never shared for writing: copy() first

  Choice() = default;
  Choice(const KindList& list, const std::string& name) : kinds(&list) { select(name); }
  // Switches to row `name` with its defaults. Throws ConfigError if unknown.
  void select(const std::string& name) {
    const Kind* row = kinds->find(name);
    if (row == nullptr) throw ConfigError("unknown " + kinds->what() + " '" + name + "'");
    kind = name;
    options = row->options();
  }
  template <class T>
  const T& as() const {
    const auto* typed = dynamic_cast<const OptionsOf<T>*>(options.get());
    if (typed == nullptr) throw InternalError("options of '" + kind + "' have another type");
    return typed->value;
  }
};

}  // namespace lockstep
