// The config as JSON Schema (json-schema.org, draft 2020-12), for editors.
#include <fmt/format.h>

#include "core/config/config_node.h"
#include "core/config/overloaded.h"
#include "core/config/print_tree.h"
#include "core/json_text.h"

namespace lockstep {
namespace {

using VisitFields = std::function<void(FieldVisitor&)>;
std::string object(const VisitFields& visit, const std::string& kind, bool kind_required,
                   int depth);
std::string choice(const KindList* kinds, const std::string& default_kind, int depth);

std::string limits(const Range& range) {
  std::string out;
  if (range.low > -std::numeric_limits<double>::infinity())
    out += fmt::format(R"(,"{}":{})", range.above_low ? "exclusiveMinimum" : "minimum",
                       format_double(range.low));
  if (range.high < std::numeric_limits<double>::infinity())
    out += R"(,"maximum":)" + format_double(range.high);
  return out;
}

// The schema of one element; `type` is JSON's word.
std::string element(const char* type, const Rule& rule) {
  std::string out = fmt::format(R"("type":"{}")", type);
  if (rule.range) out += limits(*rule.range);
  if (!rule.words.empty()) {
    out += R"(,"enum":[)";
    for (size_t i = 0; i < rule.words.size(); ++i)
      out += (i ? "," : "") + quote_json(rule.words[i]);
    out += "]";
  }
  return "{" + out + "}";
}

// null is the default of every key.
std::string or_null(const std::string& schema) {
  return R"("anyOf":[)" + schema + R"(,{"type":"null"}])";
}
std::string or_auto(const std::string& schema) { return or_null(schema + R"(,{"const":"auto"})"); }
std::string one_or_list(const std::string& schema) {
  return or_null(schema + R"(,{"type":"array","items":)" + schema + "}");
}
std::string list_of(const std::string& schema) {
  return or_null(R"({"type":"array","items":)" + schema + "}");
}

class SchemaWriter final : public FieldVisitor {
 public:
  explicit SchemaWriter(int depth) : depth_(depth) {}

  void field(const Field& field) override {
    const Rule& rule = field.rule;
    const std::string schema = std::visit(
        Overloaded{
            [&](bool*) { return or_null(element("boolean", rule)); },
            [&](int64_t*) { return or_null(element("integer", rule)); },
            [&](double*) { return or_null(element("number", rule)); },
            [&](std::string*) { return or_null(element("string", rule)); },
            [&](std::optional<int64_t>*) { return or_null(element("integer", rule)); },
            [&](std::optional<double>*) { return or_null(element("number", rule)); },
            [&](std::optional<std::string>*) { return or_null(element("string", rule)); },
            [&](Auto<bool>*) { return or_auto(element("boolean", rule)); },
            [&](Auto<int64_t>*) { return or_auto(element("integer", rule)); },
            [&](Auto<double>*) { return or_auto(element("number", rule)); },
            [&](OneOrList<bool>*) { return one_or_list(element("boolean", rule)); },
            [&](OneOrList<int64_t>*) { return one_or_list(element("integer", rule)); },
            [&](std::vector<int64_t>*) { return list_of(element("integer", rule)); },
            [&](std::vector<double>*) { return list_of(element("number", rule)); },
            [&](std::vector<std::string>*) { return list_of(element("string", rule)); },
            [&](Choice* value) { return or_null(choice(value->kinds, value->kind, depth_ + 1)); },
            [&](const ChoiceList& list) { return list_of(choice(list.kinds, "", depth_ + 1)); },
            [&](const Section& section) {
              return or_null(object(section.visit, "", false, depth_));
            },
            [&](const SectionList& list) { return list_of(section_element(list)); },
        },
        field.value);
    properties += (properties.empty() ? "" : ",") + quote_json(field.name) + ":{" + schema;
    if (!field.doc.empty()) properties += R"(,"description":)" + quote_json(field.doc);
    properties += "}";
  }

  std::string properties;

 private:
  // An element of a list exists only while the list has one.
  std::string section_element(const SectionList& list) const {
    const bool is_empty = list.size() == 0;
    if (is_empty) list.resize(1);
    const std::string schema =
        object([&](FieldVisitor& v) { list.visit(0, v); }, "", false, depth_);
    if (is_empty) list.resize(0);
    return schema;
  }

  int depth_;
};

std::string object(const VisitFields& visit, const std::string& kind, bool kind_required,
                   int depth) {
  SchemaWriter writer(depth);
  if (!kind.empty()) writer.properties = R"("kind":{"const":)" + quote_json(kind) + "}";
  visit(writer);
  return R"({"type":"object","additionalProperties":false,"properties":{)" + writer.properties +
         "}" + (kind_required ? R"(,"required":["kind"])" : "") + "}";
}

// One of the kinds, by name alone or as a map; the default kind need not be named.
std::string choice(const KindList* kinds, const std::string& default_kind, int depth) {
  constexpr int kMaxDepth = 8;
  if (kinds == nullptr || depth > kMaxDepth) return R"({"type":["object","string"]})";
  std::string names, maps;
  for (const Kind& row : kinds->rows()) {
    const std::unique_ptr<Options> options = row.options();
    names += (names.empty() ? "" : ",") + quote_json(row.name);
    maps += "," + object([&](FieldVisitor& v) { options->visit(v); }, row.name,
                         row.name != default_kind, depth);
  }
  return R"({"oneOf":[{"enum":[)" + names + "]}" + maps + "]}";
}

}  // namespace

std::string print_schema(const std::function<void(FieldVisitor&)>& visit,
                         const std::string& title) {
  SchemaWriter writer(0);
  writer.properties =
      R"("include":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}],)"
      R"("description":"files laid under this one"})";
  visit(writer);
  return R"({"$schema":"https://json-schema.org/draft/2020-12/schema","title":)" +
         quote_json(title) + R"(,"type":"object","additionalProperties":false,"properties":{)" +
         writer.properties + "}}";
}

}  // namespace lockstep
