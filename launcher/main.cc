// The program `lockstep`: finds the command, prints errors, returns their exit code.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "core/config/config_node.h"
#include "core/errors.h"
#include "core/program_name.h"
#include "core/standard_output.h"
#include "core/version.h"
#include "launcher/commands.h"
#include "launcher/ranks/rank_entry.h"

namespace lockstep {
namespace {

bool asks_for_help(const std::string& word) { return word == "--help" || word == "-h"; }

int print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return 0;
}

const CommandEntry& find_command(const std::string& name) {
  std::vector<std::string> names;
  for (const CommandEntry& command : commands()) {
    if (command.name == name) return command;
    names.push_back(command.name);
  }
  const std::string near = nearest_word(name, names);
  throw ConfigError("unknown command '" + name + "'",
                    near.empty() ? "`lockstep --help` lists the commands"
                                 : "did you mean `lockstep " + near + "`?");
}

int run(const std::vector<std::string>& words) {
  if (words.empty() || asks_for_help(words[0])) return print(overview());
  if (words[0] == "--version") return print(std::string("lockstep ") + kVersion + "\n");
  const std::vector<std::string> arguments(words.begin() + 1, words.end());
  if (words[0] == "as-rank") return run_as_rank(arguments);
  if (words[0] == "as-torch-rank") return run_as_torch_rank(arguments);
  if (words[0] == "help")
    return print(arguments.empty() ? overview() : find_command(arguments[0]).help);
  const CommandEntry& command = find_command(words[0]);
  // `launch -- PROGRAM --help` is the program's to answer.
  const auto own_end = std::find(arguments.begin(), arguments.end(), "--");
  // `data make sudoku --help` is the worker's to answer; `data --help` is ours.
  const bool by_worker = command.name == "data" && arguments.size() > 1;
  if (!by_worker && std::any_of(arguments.begin(), own_end, asks_for_help))
    return print(command.help);
  return command.run(arguments);
}

}  // namespace
}  // namespace lockstep

int main(int count, char** words) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  try {
    if (count > 0) lockstep::set_program_name(words[0]);
    lockstep::set_up_standard_output();
    return lockstep::flush_standard_output(lockstep::run({words + 1, words + count}));
  } catch (const lockstep::Error& error) {
    std::fprintf(stderr, "%s\n", error.message().c_str());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\nhelp: this is a bug of lockstep\n", error.what());
    return static_cast<int>(lockstep::ExitCode::kBug);
  }
}
