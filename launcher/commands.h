// The list of commands: what each is called, what it does, its help.
//
// The launcher does some itself; the others it hands to lockstep-worker unread, and only knows
// their names and help.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace lockstep {

struct CommandEntry {
  std::string name;
  std::string summary;  // one line
  std::string help;     // all of `lockstep NAME --help`: usage, examples, flags
  // Arguments behind the name → exit code. Throws Error.
  std::function<int(const std::vector<std::string>&)> run;
};

// In the order of `lockstep --help`.
const std::vector<CommandEntry>& commands();

// Fits a screen and starts with examples.
std::string overview();

// What the launcher does itself, besides train_command.h.
int plan_command(const std::vector<std::string>& arguments);
int launch_command(const std::vector<std::string>& arguments);
int report_command(const std::vector<std::string>& arguments);
int runs_command(const std::vector<std::string>& arguments);
int sweep_command(const std::vector<std::string>& arguments);
int logs_command(const std::vector<std::string>& arguments);

}  // namespace lockstep
