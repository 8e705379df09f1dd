// `lockstep logs`: a rank's log, whole, its last lines, or as it grows.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "launcher/command_line.h"
#include "launcher/commands.h"
#include "launcher/ranks/failure.h"
#include "launcher/ranks/run_lock.h"

namespace lockstep {
namespace {

// New lines of a log, as they come, until its run is no longer locked by a launcher.
void follow(std::ifstream& file, const RunFolder& run) {
  for (bool ended = false;;) {
    file.clear();
    std::streampos begin = file.tellg();
    for (std::string line; std::getline(file, line); begin = file.tellg()) {
      if (file.eof() && !ended) break;  // the rest of this line is still to come
      std::printf("%s\n", line.c_str());
      if (file.eof()) break;
    }
    std::fflush(stdout);
    if (ended || std::ferror(stdout) != 0) return;
    file.clear();
    file.seekg(begin);
    ended = !is_locked(run);  // once more after the end: its last lines
    if (!ended) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

}  // namespace

int logs_command(const std::vector<std::string>& arguments) {
  const LogsFlags flags = read_logs_flags(arguments);
  const RunFolder run = RunFolder::find(flags.run);
  const int attempt = flags.attempt ? static_cast<int>(*flags.attempt) : run.next_attempt() - 1;
  if (attempt < 0) throw ConfigError(run.root.string() + " has no logs: it was never started");
  int rank = 0;
  std::error_code missing;
  const fs::path error_path = run.attempt(attempt) / "error.json";
  if (flags.rank) {
    rank = static_cast<int>(*flags.rank);
  } else if (fs::exists(error_path, missing)) {
    const auto json = nlohmann::json::parse(read_file(error_path, 1 << 20), nullptr, false);
    if (json.is_object()) rank = std::max(0, json.value("rank", 0));
  }
  const fs::path path = run.rank_log(attempt, rank);
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw ConfigError("rank " + std::to_string(rank) + " of attempt " + std::to_string(attempt) +
                          " has no log: " + path.string(),
                      "`ls " + run.attempt(attempt).string() + "` shows which there are");
  }
  std::fprintf(stderr, "%s\n", path.c_str());
  if (flags.lines > 0) {
    for (const std::string& line : last_lines(path, static_cast<size_t>(flags.lines)))
      std::printf("%s\n", line.c_str());
    if (!flags.follow) return 0;
    file.seekg(0, std::ios::end);
  }
  if (flags.follow) {
    follow(file, run);
    return 0;
  }
  for (std::string line; std::getline(file, line);) std::printf("%s\n", line.c_str());
  return 0;
}

}  // namespace lockstep
