// Names inside a run folder (design.md 6), in one place.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace lockstep {

class FileLock;

struct RunFolder {
  std::filesystem::path root;

  std::filesystem::path config() const { return root / "config.yaml"; }
  std::filesystem::path plan() const { return root / "plan.json"; }
  std::filesystem::path environment() const { return root / "env.json"; }
  std::filesystem::path metrics() const { return root / "metrics.jsonl"; }
  std::filesystem::path status() const { return root / "status.json"; }
  std::filesystem::path error() const { return root / "error.json"; }
  std::filesystem::path report() const { return root / "report.html"; }
  std::filesystem::path lock() const { return root / ".lock"; }
  std::filesystem::path checkpoints() const { return root / "checkpoints"; }
  std::filesystem::path latest() const { return checkpoints() / "latest"; }
  std::filesystem::path samples() const { return root / "samples"; }
  std::filesystem::path checkpoint(int64_t step) const { return checkpoints() / step_name(step); }
  std::filesystem::path sample(int64_t step) const {
    return samples() / (step_name(step) + ".png");
  }
  std::filesystem::path attempt(int number) const {
    return root / "logs" / ("attempt-" + std::to_string(number));
  }
  std::filesystem::path rank_log(int number, int rank) const {
    return attempt(number) / ("rank-" + std::to_string(rank) + ".log");
  }
  std::filesystem::path rank_page(int number, int rank) const {
    return attempt(number) / ("rank-" + std::to_string(rank) + ".page");
  }
  // Makes a folder of this run, with its parents. Throws EnvironmentError if the run's own folder
  // was removed or moved away: that one is never made anew.
  void make_folder(const std::filesystem::path& folder) const;
  // Throws the same.
  void check_still_there() const;
  // True if a run was started here (config.yaml and plan.json exist).
  bool holds_run() const;

  // One more than the largest attempt that has a log folder.
  int next_attempt() const;
  // Takes .lock and writes our process id and host into it. Throws LockedError with `help`.
  std::unique_ptr<FileLock> take_lock(const std::string& help) const;
  // Removes files and checkpoints that were being written when their writer died. For the holder of
  // the lock while no rank is alive; what cannot be removed stays.
  void remove_unfinished() const;

  // "step-00000300".
  static std::string step_name(int64_t step);
  // FOLDER/NAME/20260101-120000, made, with -2, -3 … appended if taken. Throws EnvironmentError.
  static RunFolder make_new(const std::filesystem::path& folder, const std::string& name);
  // The run at `path` (the folder itself, or a parent whose newest run is meant). Throws
  // ConfigError if none.
  static RunFolder find(const std::filesystem::path& path);
};

}  // namespace lockstep
