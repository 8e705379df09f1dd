#include "core/log.h"

#include <atomic>
#include <memory>
#include <mutex>

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>

#include "core/errors.h"
#include "core/files.h"
#include "core/terminal.h"

namespace lockstep {
namespace {

const char* prefix(spdlog::level::level_enum level) {
  if (level == spdlog::level::warn) return "warning: ";
  return level == spdlog::level::err ? "error: " : "";
}

// Plain lines on stderr, above the progress bar.
class TerminalSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit TerminalSink(int rank) : rank_(rank > 0 ? "[rank " + std::to_string(rank) + "] " : "") {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    print_line(rank_ + prefix(message.level) +
               std::string(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}

 private:
  const std::string rank_;
};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Made by set_up_log and never destroyed while a thread may log: a new set-up leaves the old logger
// alive.
std::atomic<spdlog::logger*> current{nullptr};

void log(LogLevel level, const std::string& line) {
  if (spdlog::logger* logger = current.load(std::memory_order_acquire)) {
    logger->log(to_spdlog(level), spdlog::string_view_t(line));
  } else if (level != LogLevel::kDebug) {
    print_line(prefix(to_spdlog(level)) + line);
  }
}

}  // namespace

void set_up_log(const LogSetup& setup) {
  std::vector<spdlog::sink_ptr> sinks;
  auto terminal = std::make_shared<TerminalSink>(setup.rank);
  if (setup.rank > 0) terminal->set_level(spdlog::level::warn);
  sinks.push_back(std::move(terminal));
  if (!setup.file.empty()) {
    try {
      if (setup.file.has_parent_path()) make_folders(setup.file.parent_path());
      auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(setup.file.string());
      file->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
      sinks.push_back(std::move(file));
    } catch (const spdlog::spdlog_ex& problem) {
      throw EnvironmentError("cannot open the log: " + std::string(problem.what()));
    }
  }
  auto logger = std::make_unique<spdlog::logger>("lockstep", sinks.begin(), sinks.end());
  logger->set_level(to_spdlog(setup.level));
  logger->flush_on(spdlog::level::info);  // a killed rank's last lines are what people look for
  current.store(logger.release(), std::memory_order_release);
}

void log_debug(const std::string& line) { log(LogLevel::kDebug, line); }
void log_info(const std::string& line) { log(LogLevel::kInfo, line); }
void log_warning(const std::string& line) { log(LogLevel::kWarning, line); }
void log_error(const std::string& line) { log(LogLevel::kError, line); }

void flush_log() {
  if (spdlog::logger* logger = current.load(std::memory_order_acquire)) logger->flush();
}

}  // namespace lockstep
