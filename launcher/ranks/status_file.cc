#include "launcher/ranks/status_file.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {

RunStatus read_status(const RunFolder& run) {
  RunStatus status;
  std::error_code missing;
  if (!fs::exists(run.status(), missing)) return status;
  try {
    const auto json = nlohmann::json::parse(read_file(run.status(), 1 << 20));
    status.state = json.value("state", status.state);
    status.step = json.value("step", status.step);
    status.exit_code = json.value("exit_code", status.exit_code);
    status.attempt = json.value("attempt", status.attempt);
    if (json.contains("checkpoint") && json["checkpoint"].is_string())
      status.checkpoint = json["checkpoint"];
  } catch (const std::exception&) {
    return {};
  }
  return status;
}

void write_status(const RunFolder& run, const RunStatus& status) {
  const nlohmann::ordered_json json{{"state", status.state},
                                    {"step", status.step},
                                    {"exit_code", status.exit_code},
                                    {"attempt", status.attempt},
                                    {"checkpoint", status.checkpoint}};
  write_file_atomic(run.status(), json.dump(2) + "\n");
}

std::string newest_checkpoint(const RunFolder& run) {
  std::string newest;
  std::error_code error;
  for (fs::directory_iterator it(run.checkpoints(), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename();
    std::error_code missing;
    if (name.rfind("step-", 0) == 0 && fs::exists(it->path() / "MANIFEST.json", missing))
      newest = std::max(newest, name);
  }
  return newest;
}

}  // namespace lockstep
