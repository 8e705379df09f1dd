// The children of one attempt, as if they were one: mpirun alone, or the ranks themselves.
//
// When one fails, the others get a moment to say what they saw, then they are killed. The first
// failure is remembered: what follows it is mostly its echo.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "launcher/ranks/child_process.h"

namespace lockstep {

// How one of several children ended.
struct ChildEnd {
  int index = 0;
  pid_t pid = 0;
  ExitStatus status;
};

class RankGroup {
 public:
  // Starts them all. Throws EnvironmentError if one cannot be started; those before it are killed.
  RankGroup(const std::vector<Command>& commands, const ChildOptions& options);
  RankGroup(const std::vector<Command>& commands,
            const std::vector<ChildOptions>& options);  // one each

  // Nothing while one runs; then the first failure's status, or a good one. Does not wait.
  std::optional<ExitStatus> ended();
  // After the children were killed from outside as well.
  ExitStatus wait();
  // To all that run.
  void signal(int number);
  // A child that a signal ended before we killed any counts before those that ended by themselves.
  const std::optional<ChildEnd>& first_failure() const { return first_failure_; }

 private:
  void note(int index, const ExitStatus& status);

  std::vector<std::unique_ptr<ChildProcess>> children_;
  std::vector<char> noted_;
  std::optional<ChildEnd> first_failure_;
  double failed_seconds_ = 0;  // when the first failure was noticed
  bool killed_ = false;
};

}  // namespace lockstep
