// The log: lines for people on stderr and, once a run folder is known, in its log file.
//
// Every rank logs to its own file; only rank 0 also writes to the terminal, unless a line
// is a warning or an error. Formatting is the caller's (fmt::format). Thread-safe.
#pragma once

#include <filesystem>
#include <string>

namespace lockstep {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogSetup {
  LogLevel level = LogLevel::kInfo;
  int rank = 0;                // -1: no rank (launcher, tools): everything to the terminal
  std::filesystem::path file;  // empty: terminal only
};

void set_up_log(const LogSetup& setup);
void log_debug(const std::string& line);
void log_info(const std::string& line);
void log_warning(const std::string& line);
void log_error(const std::string& line);
// Flushes everything; called before an abort.
void flush_log();

}  // namespace lockstep
