#include <algorithm>
#include <cstdio>

#include "core/errors.h"
#include "launcher/command_line.h"
#include "launcher/commands.h"
#include "launcher/worker_program.h"

namespace lockstep {

int plan_command(const std::vector<std::string>& arguments) {
  std::vector<std::string> words = with_dashes(arguments);
  const auto json = std::remove(words.begin(), words.end(), "--json");
  const bool as_json = json != words.end();
  words.erase(json, words.end());
  if (words.empty())
    throw ConfigError("plan needs a config file",
                      "try `lockstep plan configs/sudoku/quickstart.yaml`");
  words.insert(words.begin(), "plan");
  words.push_back("--json");  // the text for people is in it, too
  const WorkerAnswer answer = ask_worker(words, nullptr);
  if (answer.code != 0) return answer.code;
  if (as_json) {
    std::printf("%s\n", answer.last_line.c_str());
    return 0;
  }
  std::string text = parse_launch_plan(answer.last_line).explain;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::printf("%s\n", text.c_str());
  return 0;
}

}  // namespace lockstep
