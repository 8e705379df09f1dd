#include <algorithm>

#include <fmt/format.h>

#include "core/config/config_node.h"
#include "core/config/overloaded.h"
#include "core/config/read_scalars.h"

namespace lockstep {
namespace {

using VisitFields = std::function<void(FieldVisitor&)>;

std::string join(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

// The names of one list of fields.
class Names final : public FieldVisitor {
 public:
  explicit Names(const VisitFields& visit) { visit(*this); }
  void field(const Field& field) override {
    if (std::find(all.begin(), all.end(), field.name) != all.end())
      throw InternalError("the field '" + field.name + "' is listed twice");
    all.push_back(field.name);
  }
  std::vector<std::string> all;
};

// What the keys of a map belong to: a section, or one kind of a choice.
struct Owner {
  const KindList* kinds = nullptr;
  std::string kind;
};

// Words for the kinds other than the chosen one that have `key`.
std::string kinds_with(const Owner& owner, const std::string& key) {
  std::string found;
  for (const Kind& row : owner.kinds->rows()) {
    if (row.name == owner.kind) continue;
    const std::unique_ptr<Options> options = row.options();
    const Names names([&](FieldVisitor& v) { options->visit(v); });
    if (std::find(names.all.begin(), names.all.end(), key) != names.all.end())
      found += (found.empty() ? "'" : ", '") + row.name + "'";
  }
  return found;
}

[[noreturn]] void refuse_key(const Node& node, size_t i, std::vector<std::string> known,
                             const std::string& path, const Owner& owner) {
  const std::string& key = node.entries[i].first;
  std::string fact = fmt::format("unknown key '{}'", join(path, key)), help;
  if (owner.kinds != nullptr) {
    fact += fmt::format(" of {} '{}'", owner.kinds->what(), owner.kind);
    known.insert(known.begin(), "kind");
    const std::string others = kinds_with(owner, key);
    if (!others.empty()) help = fmt::format("{} {} has it; ", owner.kinds->what(), others);
  }
  const std::string nearest = nearest_word(key, known);
  if (!nearest.empty()) help += fmt::format("did you mean '{}'? ", nearest);
  help += known.empty() ? "no keys are known here"
                        : "known keys here: " + fmt::format("{}", fmt::join(known, ", "));
  throw ConfigError(fact, help, node.key_places[i]);
}

const Node& null_node() {
  static const Node node;
  return node;
}

class Reader final : public FieldVisitor {
 public:
  Reader(const Node& node, const std::string& path, Sources* sources)
      : node_(node), path_(path), sources_(sources) {}

  void field(const Field& field) override {
    const Node* found = node_.find(field.name);
    read(found == nullptr ? null_node() : *found, field, join(path_, field.name));
  }

 private:
  void read(const Node& node, const Field& field, const std::string& path) {
    const Rule& rule = field.rule;
    std::visit(
        Overloaded{
            [&](bool* out) { scalar(node, path, *out, [&] { return read_bool(node, path); }); },
            [&](int64_t* out) {
              scalar(node, path, *out, [&] { return read_integer(node, path, rule); });
            },
            [&](double* out) {
              scalar(node, path, *out, [&] { return read_double(node, path, rule); });
            },
            [&](std::string* out) {
              scalar(node, path, *out, [&] { return read_string(node, path, rule); });
            },
            [&](std::vector<int64_t>* out) {
              list(node, path, *out, rule, "integers", read_integer);
            },
            [&](std::vector<double>* out) { list(node, path, *out, rule, "numbers", read_double); },
            [&](std::vector<std::string>* out) {
              list(node, path, *out, rule, "texts", read_string);
            },
            [&](std::optional<int64_t>* out) {
              scalar(node, path, *out, [&] { return read_integer(node, path, rule); });
            },
            [&](std::optional<double>* out) {
              scalar(node, path, *out, [&] { return read_double(node, path, rule); });
            },
            [&](std::optional<std::string>* out) {
              scalar(node, path, *out, [&] { return read_string(node, path, rule); });
            },
            [&](Auto<int64_t>* out) {
              with_auto(node, path, *out, [&] { return read_integer(node, path, rule); });
            },
            [&](Auto<bool>* out) {
              with_auto(node, path, *out, [&] { return read_bool(node, path); });
            },
            [&](Auto<double>* out) {
              with_auto(node, path, *out, [&] { return read_double(node, path, rule); });
            },
            [&](OneOrList<int64_t>* out) {
              one_or_list(node, path, *out, rule, "integers", read_integer);
            },
            [&](OneOrList<bool>* out) {
              one_or_list(node, path, *out, rule, "true or false", read_a_bool);
            },
            [&](Choice* out) { choice(node, path, *out); },
            [&](const ChoiceList& out) { choices(node, path, out); },
            [&](const Section& out) { read_fields(node, out.visit, path, sources_); },
            [&](const SectionList& out) { sections(node, path, out); },
        },
        field.value);
  }

  void note(const Node& node, const std::string& path) {
    if (sources_ != nullptr)
      (*sources_)[path] = node.type == Node::Type::kNull ? "default" : node.source;
  }

  // Null and absent keep the default.
  template <class T, class Read>
  void scalar(const Node& node, const std::string& path, T& out, Read read) {
    note(node, path);
    if (node.type != Node::Type::kNull) out = read();
  }

  template <class T, class Read>
  void with_auto(const Node& node, const std::string& path, Auto<T>& out, Read read) {
    note(node, path);
    if (node.type == Node::Type::kNull) return;
    if (node.type == Node::Type::kScalar && node.scalar == "auto") {
      out = Auto<T>();
      return;
    }
    try {
      out = Auto<T>(read());
    } catch (const ConfigError& error) {
      throw ConfigError(error.fact(),
                        error.help().empty() ? "or write auto" : error.help() + ", or auto",
                        error.place());
    }
  }

  template <class T, class Read>
  void list(const Node& node, const std::string& path, std::vector<T>& out, const Rule& rule,
            const char* what, Read read_one) {
    note(node, path);
    if (node.type == Node::Type::kNull) return;
    if (node.type != Node::Type::kSequence)
      throw ConfigError(
          fmt::format("'{}' must be a list of {}, got {}", path, what, describe(node)),
          node.type == Node::Type::kScalar ? "write [" + node.scalar + "]" : "", node.place);
    std::vector<T> values;
    for (size_t i = 0; i < node.items.size(); ++i)
      values.push_back(read_one(node.items[i], join(path, std::to_string(i)), rule));
    out = std::move(values);
  }

  static bool read_a_bool(const Node& node, const std::string& path, const Rule&) {
    return read_bool(node, path);
  }

  // Null goes back to the default: neither.
  template <class T, class Read>
  void one_or_list(const Node& node, const std::string& path, OneOrList<T>& out, const Rule& rule,
                   const char* what, Read read_one) {
    if (node.type == Node::Type::kSequence) {
      OneOrList<T> values;
      list(node, path, values.each, rule, what, read_one);
      out = std::move(values);
    } else {
      scalar(node, path, out, [&] { return OneOrList<T>{read_one(node, path, rule), {}}; });
    }
  }

  // The elements of a list of maps (or kinds).
  const std::vector<Node>& elements(const Node& node, const std::string& path) {
    if (node.type != Node::Type::kSequence)
      throw ConfigError(fmt::format("'{}' must be a list of maps, got {}", path, describe(node)),
                        node.type == Node::Type::kMap ? "put '- ' before the first key" : "",
                        node.place);
    return node.items;
  }

  void sections(const Node& node, const std::string& path, const SectionList& out) {
    note(node, path);
    if (node.type == Node::Type::kNull) return;
    const std::vector<Node>& items = elements(node, path);
    out.resize(0);
    out.resize(items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      const std::string element = join(path, std::to_string(i));
      if (items[i].type == Node::Type::kNull)
        throw ConfigError(fmt::format("'{}' must be a map, got null", element), "", items[i].place);
      read_fields(items[i], [&](FieldVisitor& v) { out.visit(i, v); }, element, sources_);
    }
  }

  void choices(const Node& node, const std::string& path, const ChoiceList& out) {
    note(node, path);
    if (node.type == Node::Type::kNull) return;
    std::vector<Choice> values;
    const std::vector<Node>& items = elements(node, path);
    for (size_t i = 0; i < items.size(); ++i) {
      Choice value;
      value.kinds = out.kinds;
      choice(items[i], join(path, std::to_string(i)), value);
      values.push_back(std::move(value));
    }
    *out.items = std::move(values);
  }

  void choice(const Node& node, const std::string& path, Choice& out) {
    if (out.kinds == nullptr)
      throw InternalError("the choice '" + path + "' has no table of kinds");
    if (node.type == Node::Type::kSequence)
      throw ConfigError(fmt::format("'{}' must be a map with 'kind', got a list", path), "",
                        node.place);
    const Node* kind = node.type == Node::Type::kMap ? node.find("kind") : &node;
    if (kind == nullptr) kind = &null_node();
    note(*kind, join(path, "kind"));
    if (kind->type != Node::Type::kNull) {
      select(*kind, path, out);
    } else if (out.options == nullptr) {
      if (node.type == Node::Type::kNull && node.place.file.empty())
        return;  // absent, and no default
      throw ConfigError(fmt::format("'{}' needs 'kind'", path),
                        "known kinds: " + fmt::format("{}", fmt::join(kind_names(out), ", ")),
                        node.place);
    }
    out.options = out.options->clone();
    const Node& options = node.type == Node::Type::kMap ? node : null_node();
    const VisitFields visit = [&](FieldVisitor& v) { out.options->visit(v); };
    read_known(options, visit, path, sources_, {out.kinds, out.kind});
  }

  static std::vector<std::string> kind_names(const Choice& choice) {
    std::vector<std::string> names;
    for (const Kind& row : choice.kinds->rows()) names.push_back(row.name);
    return names;
  }

  static void select(const Node& kind, const std::string& path, Choice& out) {
    const std::string name = read_string(kind, join(path, "kind"), {});
    if (out.options != nullptr && out.kind == name) return;
    if (out.kinds->find(name) == nullptr) {
      const std::vector<std::string> names = kind_names(out);
      const std::string nearest = nearest_word(name, names);
      throw ConfigError(
          fmt::format("unknown {} '{}' for '{}'", out.kinds->what(), name, join(path, "kind")),
          (nearest.empty() ? "" : "did you mean '" + nearest + "'? ") +
              "known kinds: " + fmt::format("{}", fmt::join(names, ", ")),
          kind.place);
    }
    out.select(name);
  }

 public:
  static void read_known(const Node& node, const VisitFields& visit, const std::string& path,
                         Sources* sources, const Owner& owner) {
    if (node.type != Node::Type::kMap && node.type != Node::Type::kNull)
      throw ConfigError(fmt::format("'{}' must be a map, got {}", path, describe(node)),
                        "write its keys below it", node.place);
    const Names names(visit);
    for (size_t i = 0; i < node.entries.size(); ++i) {
      const std::string& key = node.entries[i].first;
      const bool is_kind = owner.kinds != nullptr && key == "kind";
      if (!is_kind && std::find(names.all.begin(), names.all.end(), key) == names.all.end())
        refuse_key(node, i, names.all, path, owner);
    }
    Reader reader(node, path, sources);
    visit(reader);
  }

 private:
  const Node& node_;
  const std::string path_;
  Sources* sources_;
};

}  // namespace

void read_fields(const Node& node, const VisitFields& visit, const std::string& path,
                 Sources* sources) {
  Reader::read_known(node, visit, path, sources, {});
}

}  // namespace lockstep
