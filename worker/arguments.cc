#include "worker/arguments.h"

#include <charconv>

#include "core/config/config_node.h"
#include "core/errors.h"
#include "data/parallel_for.h"

namespace lockstep {
namespace {

bool is_key_path(const std::string& text) {
  if (text.empty()) return false;
  for (char c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '-')
      return false;
  return true;
}

bool is_override(const std::string& word) {
  if (word.starts_with("~") || word.starts_with("+")) return true;
  const size_t equals = word.find('=');
  return equals != std::string::npos && is_key_path(word.substr(0, equals));
}

}  // namespace

Place on_command_line(const std::string& word) { return {"command line", 1, 1, word}; }

Arguments::Arguments(const std::vector<std::string>& words, const std::vector<Flag>& flags) {
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with("--") || word == "--") {
      (is_override(word) ? overrides_ : positionals_).push_back(word);
      continue;
    }
    const size_t equals = word.find('=');
    std::string name = word.substr(0, equals);
    for (char& c : name)
      if (c == '_') c = '-';
    const Flag* known = nullptr;
    std::vector<std::string> names;
    for (const Flag& flag : flags) {
      names.push_back(flag.name);
      if (flag.name == name) known = &flag;
    }
    if (known == nullptr) {
      const std::string near = nearest_word(name, names);
      throw ConfigError("unknown flag " + name, near.empty() ? "" : "did you mean " + near + "?",
                        on_command_line(word));
    }
    if (!known->has_value) {
      if (equals != std::string::npos)
        throw ConfigError(name + " takes no value", "", on_command_line(word));
      values_[name] = "";
    } else if (equals != std::string::npos) {
      values_[name] = word.substr(equals + 1);
    } else {
      if (i + 1 >= words.size())
        throw ConfigError(name + " needs a value", "", on_command_line(word));
      values_[name] = words[++i];
    }
  }
}

std::optional<std::string> Arguments::value(const std::string& flag) const {
  const auto found = values_.find(flag);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

std::string Arguments::required(const std::string& flag, const std::string& command) const {
  const auto found = value(flag);
  if (!found) throw ConfigError(command + " needs " + flag, "see lockstep " + command + " --help");
  return *found;
}

int64_t Arguments::threads() const {
  const int64_t threads = integer("--threads").value_or(num_threads(0));
  if (threads < 1) throw ConfigError("--threads needs at least one");
  return threads;
}

std::optional<int64_t> Arguments::integer(const std::string& flag) const {
  const auto text = value(flag);
  if (!text) return std::nullopt;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < 0)
    throw ConfigError(flag + " needs a whole number, not '" + *text + "'");
  return number;
}

std::string Arguments::one_positional(const std::string& what) const {
  if (positionals_.empty()) throw ConfigError("no " + what + " given");
  if (positionals_.size() > 1)
    throw ConfigError("one " + what + " expected, and '" + positionals_[1] + "' is a second one",
                      "overrides are written key=value", on_command_line(positionals_[1]));
  return positionals_[0];
}

void Arguments::no_overrides() const {
  if (!overrides_.empty())
    throw ConfigError("this command takes no key=value", "", on_command_line(overrides_.front()));
}

void Arguments::no_positionals() const {
  if (!positionals_.empty())
    throw ConfigError("unexpected word '" + positionals_.front() + "'", "",
                      on_command_line(positionals_.front()));
}

}  // namespace lockstep
