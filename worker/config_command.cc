// `config show|keys|schema|explain`: the config as the program understands it.
#include <cstdio>

#include "core/config/config_node.h"
#include "core/errors.h"
#include "core/run_folder.h"
#include "train/plan/run_config.h"
#include "worker/arguments.h"
#include "worker/commands.h"

namespace lockstep {
namespace {

// CONFIG, or the config of a run folder.
std::string config_path(const std::string& word) {
  if (word != "-" && std::filesystem::is_directory(word))
    return RunFolder::find(word).config().string();
  return word;
}

int show(const Arguments& arguments) {
  LoadedConfig loaded =
      load_config(config_path(arguments.one_positional("config")), arguments.overrides());
  const auto fields = [&](FieldVisitor& v) { loaded.config->fields(v); };
  const bool json = arguments.has("--json");
  std::puts(json ? print_json(fields).c_str() : print_yaml(fields, &loaded.sources).c_str());
  return 0;
}

int keys(const Arguments& arguments) {
  const std::string prefix =
      arguments.positionals().empty() ? "" : arguments.one_positional("key prefix");
  LoadedConfig loaded = load_config("-", arguments.overrides());
  const std::string text = print_keys([&](FieldVisitor& v) { loaded.config->fields(v); }, prefix);
  if (text.empty())
    throw ConfigError("no key starts with '" + prefix + "'", "list all with: lockstep config keys");
  std::fputs(text.c_str(), stdout);
  return 0;
}

int schema(const Arguments& arguments) {
  arguments.no_positionals();
  LoadedConfig loaded = load_config("-", arguments.overrides());
  std::puts(print_schema([&](FieldVisitor& v) { loaded.config->fields(v); }).c_str());
  return 0;
}

// Where one value came from.
int explain_value(const Arguments& arguments) {
  const auto& words = arguments.positionals();
  if (words.size() != 2)
    throw ConfigError("config explain needs CONFIG and KEY",
                      "lockstep config explain run.yaml train.steps");
  LoadedConfig loaded = load_config(config_path(words[0]), arguments.overrides());
  const auto fields = [&](FieldVisitor& v) { loaded.config->fields(v); };
  const std::string keys = print_keys(fields, words[1]);
  if (keys.empty())
    throw ConfigError("unknown key '" + words[1] + "'", "list all with: lockstep config keys");
  std::fputs(keys.c_str(), stdout);
  bool any = false;
  for (const auto& [path, source] : loaded.sources)
    if (path == words[1] || path.starts_with(words[1] + ".")) {
      std::printf("%s comes from %s\n", path.c_str(), source.c_str());
      any = true;
    }
  if (!any) std::printf("%s has its default value\n", words[1].c_str());
  return 0;
}

}  // namespace

int config_command(const Words& words) {
  if (words.empty())
    throw ConfigError("config needs one of: show, keys, schema, explain",
                      "see lockstep config --help");
  const std::string what = words.front();
  const Arguments arguments({words.begin() + 1, words.end()}, {{"--json"}});
  if (what == "show") return show(arguments);
  if (what == "keys") return keys(arguments);
  if (what == "schema") return schema(arguments);
  if (what == "explain") return explain_value(arguments);
  const std::string near = nearest_word(what, {"show", "keys", "schema", "explain"});
  throw ConfigError(
      "unknown word '" + what + "' after config",
      near.empty() ? "it takes show, keys, schema, explain" : "did you mean " + near + "?");
}

}  // namespace lockstep
