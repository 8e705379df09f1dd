// Why an attempt failed: the first cause among many victims.
//
// When one rank dies, all others fail too, a moment later and louder. The cause is, in this
// order: a rank that hung, the first error that is not about a lost peer, a rank that a signal
// killed, a rank that fell silent long before its peers complained, the first complaint.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/errors.h"
#include "launcher/ranks/child_process.h"
#include "launcher/ranks/rank_group.h"
#include "launcher/ranks/rank_watch.h"

namespace lockstep {

struct Failure {
  enum class Kind {
    kError,    // the rank said why
    kSignal,   // killed
    kHang,     // silent for too long
    kExit,     // ended without a word
    kStarter,  // mpirun or srun itself failed
  };
  Kind kind = Kind::kStarter;
  int rank = -1;  // -1: none in particular
  int code = 0;   // exit code of the rank, 0 if unknown
  int signal = 0;
  std::string fact;  // one line
  std::string help;
  std::string message;  // the rank's own message, "" if it left none
  int64_t step = 0;
  int64_t pid = 0;

  // What the launcher returns if nobody restarts.
  ExitCode exit_code() const;
  // A fresh start may help: the ranks or the machine failed, not the config, data or numbers.
  bool may_restart() const;
};

// What the launcher saw of an attempt that failed.
struct Evidence {
  std::optional<RankState> hung;  // the rank for which the attempt was ended
  double hung_seconds = 0;        // for how long it had been silent
  std::vector<RankError> errors;  // earliest first
  std::vector<RankState> ranks;
  ExitStatus starter;                     // how mpirun (or the only rank) ended
  bool direct = false;                    // the only rank was our own child
  std::optional<ChildEnd> first_failure;  // of ranks that are our own children, if one ended badly
  std::string starter_name;               // "mpirun"
  std::string starter_log;                // what it printed
  double timeout_seconds = 0;
  int64_t kills_for_memory = 0;  // processes that the kernel killed meanwhile for lack of memory
};

Failure find_cause(const Evidence& evidence);

// The last `count` lines of a log, without the progress bar's rewritten parts.
std::vector<std::string> last_lines(const std::filesystem::path& file, size_t count);

// How many processes this machine (or its control group) has killed for lack of memory so far.
int64_t kills_for_memory();

}  // namespace lockstep
