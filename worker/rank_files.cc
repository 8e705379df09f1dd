#include "worker/rank_files.h"

#include <ctime>

#include <nlohmann/json.hpp>

#include "core/files.h"

namespace lockstep {

void write_status(const RankPlace& place, const std::string& state, int64_t step, int exit_code) {
  std::error_code none;
  const fs::path latest = fs::read_symlink(place.folder.latest(), none);
  const nlohmann::ordered_json json = {{"state", state},
                                       {"step", step},
                                       {"exit_code", exit_code},
                                       {"attempt", place.attempt},
                                       {"checkpoint", none ? "" : latest.string()}};
  write_file_atomic(place.folder.status(), json.dump(2) + "\n");
}

void write_error(const RankPlace& place, int rank, const Error& error, int64_t step) noexcept {
  try {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const nlohmann::ordered_json json = {{"rank", rank},
                                         {"code", static_cast<int>(error.code())},
                                         {"message", error.message()},
                                         {"fact", error.what()},
                                         {"step", step},
                                         {"monotonic_seconds", now.tv_sec + now.tv_nsec * 1e-9}};
    place.folder.make_folder(place.folder.attempt(place.attempt));
    write_file_atomic(
        place.folder.attempt(place.attempt) / ("rank-" + std::to_string(rank) + ".error.json"),
        json.dump(2) + "\n");
  } catch (...) {
    // The message is on stderr as well.
  }
}

}  // namespace lockstep
