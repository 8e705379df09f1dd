// One child process, started in a session of its own.
//
// A session of its own keeps the terminal's Ctrl-C away from the ranks: the launcher alone
// reacts to it and asks the ranks to stop. Should the launcher die (kill -9), the kernel sends
// the child `death_signal`.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace lockstep {

struct Command {
  std::vector<std::string> words;                                // program and its arguments
  std::vector<std::pair<std::string, std::string>> environment;  // set in addition to ours

  // As a person would type it, quoted where a shell needs it.
  std::string text() const;
};

struct ChildOptions {
  bool own_session = true;
  int death_signal = 0;  // sent to the child when the launcher dies; 0: none
  int input = -1;        // descriptors for stdin, stdout, stderr; -1: /dev/null for stdin,
  int output = -1;       // the launcher's own for the others
  int error = -1;
  int inherited = -1;  // a descriptor of ours that the child keeps under its number
};

// How a process ended.
struct ExitStatus {
  int code = 0;    // of exit(); 128 + signal if killed
  int signal = 0;  // 0: not killed
  bool good() const { return code == 0 && signal == 0; }
};

class ChildProcess {
 public:
  // Throws EnvironmentError if the program cannot be started.
  ChildProcess(const Command& command, const ChildOptions& options);
  // Kills a child that still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Nothing while it runs. Does not wait.
  std::optional<ExitStatus> ended();
  ExitStatus wait();
  // No effect once it ended.
  void signal(int number);

 private:
  pid_t pid_ = -1;
  std::optional<ExitStatus> status_;
};

// "SIGKILL" for 9, "signal 77" for unknown ones.
std::string signal_name(int number);

}  // namespace lockstep
