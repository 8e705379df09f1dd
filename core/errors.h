// Errors that end a run, and the exit code each one means.
//
// A message always has the form
//     error: FACT
//       --> FILE:LINE:COLUMN
//     help: WHAT TO DO
// The fact comes from the place that noticed; callers add what they were doing
// on the way up with `with_context`. Nothing is printed below `main`.
#pragma once

#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

// What the process returns to the shell (docs/limits.md lists them for users).
enum class ExitCode : int {
  kDone = 0,
  kUsage = 2,         // command line or config
  kEnvironment = 3,   // no GPU, missing library, disk full, port taken
  kData = 4,          // data or input file
  kCheckpoint = 5,    // no usable checkpoint
  kRanks = 6,         // ranks failed and restarts are used up
  kNumeric = 7,       // the numbers broke
  kLocked = 8,        // another run holds this folder
  kBug = 70,          // a defect of Lockstep
  kStopped = 75,      // stopped on request, state saved
  kInterrupted = 130  // interrupted twice
};

// A position in a text file; `line` and `column` count from 1, 0 = unknown.
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
  std::string text;  // the line itself, shown with a caret under `column`
  int skipped = 0;   // columns of a long line left out before `text`
};

// Base of all errors that a user may see. Copyable, so that ranks can hand it on.
class Error : public std::exception {
 public:
  Error(ExitCode code, std::string fact, std::string help, Place place);

  ExitCode code() const { return code_; }
  const std::string& fact() const { return fact_; }
  const std::string& help() const { return help_; }
  const Place& place() const { return place_; }
  const std::vector<std::string>& context() const { return context_; }

  // Adds what the caller was doing, innermost first: "reading train-003.h5".
  void add_context(std::string what);
  // Sets the place if none is known yet.
  void set_place(Place place);

  // One line: "FACT (while CONTEXT, while CONTEXT)".
  const char* what() const noexcept override { return what_.c_str(); }
  // The whole message in the form above, without a trailing newline. Control characters, which
  // a hostile file may send to the terminal, are shown as '?'.
  std::string message() const;

 private:
  void update_what();
  ExitCode code_;
  std::string fact_, help_, what_;
  Place place_;
  std::vector<std::string> context_;
};

// Each class: Error(fact, help = "", place = {}).
#define LOCKSTEP_ERROR_CLASS(Name, exit_code)                                               \
  class Name : public Error {                                                               \
   public:                                                                                  \
    explicit Name(std::string fact, std::string help = "", Place place = {})                \
        : Error(ExitCode::exit_code, std::move(fact), std::move(help), std::move(place)) {} \
  };
LOCKSTEP_ERROR_CLASS(ConfigError, kUsage)             // command line, YAML, overrides
LOCKSTEP_ERROR_CLASS(EnvironmentError, kEnvironment)  // the machine lacks something
LOCKSTEP_ERROR_CLASS(DataError, kData)                // shard, tensor file, puzzle …
LOCKSTEP_ERROR_CLASS(CheckpointError, kCheckpoint)    // nothing to resume from
LOCKSTEP_ERROR_CLASS(CommError, kRanks)               // a peer is gone, late, or differs
LOCKSTEP_ERROR_CLASS(NumericError, kNumeric)          // NaN, loss scale at its floor
LOCKSTEP_ERROR_CLASS(LockedError, kLocked)            // another run holds the folder
LOCKSTEP_ERROR_CLASS(InternalError, kBug)             // a bug of ours
#undef LOCKSTEP_ERROR_CLASS

// Runs `body`; an Error that leaves it has "while `what`" added.
template <class Body>
auto with_context(const std::string& what, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (Error& error) {
    error.add_context(what);
    throw;
  }
}

}  // namespace lockstep
