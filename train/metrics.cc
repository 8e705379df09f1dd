// Lines of metrics.jsonl, and what happens to them when a run is resumed or the disk is full.
#include "train/metrics.h"

#include <cerrno>
#include <chrono>
#include <cmath>
#include <sstream>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"

namespace lockstep {
namespace {

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// JSON has no NaN: a broken number is written as null.
nlohmann::ordered_json number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

// A replayed graph tells nothing of its parts, so such a step has no times of them.
void put_phases(const StepResult& m, nlohmann::ordered_json& json) {
  if (m.device) {
    json["device_seconds"] = number(m.device->all);
    json["copy_seconds"] = number(m.device->copy);
    if (m.device->in_graph) {
      json["graph_seconds"] = number(m.device->graph);
      json["comm_exposed_seconds"] = nullptr;
      return;
    }
  }
  json["comm_exposed_seconds"] = number(m.device ? m.device->exchange : m.comm_exposed_seconds);
  json["forward_seconds"] = number(m.device ? m.device->forward : m.phases.forward);
  json["backward_seconds"] = number(m.device ? m.device->backward : m.phases.backward);
  json["update_seconds"] = number(m.device ? m.device->update : m.phases.update);
}

// Splits the lines of an interrupted run into those up to `step` and those past it.
void move_lines_past(const RunFolder& folder, int attempt, int64_t step) {
  if (!fs::exists(folder.metrics())) return;
  std::string kept, moved;
  std::istringstream lines(read_file(folder.metrics()));
  for (std::string text; std::getline(lines, text);) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) continue;  // torn by a kill
    const bool attempt_line = json.value("kind", "") == "attempt";
    const bool keep = attempt_line || json.value("step", int64_t{0}) <= step;
    (keep ? kept : moved) += text + "\n";
  }
  if (!moved.empty()) {
    make_folders(folder.attempt(attempt));
    write_file_atomic(folder.attempt(attempt) / "metrics-taken-back.jsonl", moved);
  }
  write_file_atomic(folder.metrics(), kept);
}

}  // namespace

MetricsFile::MetricsFile(const RunFolder& folder, int attempt, int64_t step) : folder_(folder) {
  move_lines_past(folder, attempt, step);
  open();
}

MetricsFile::~MetricsFile() {
  write_pending();
  if (!pending_.empty())
    log_error(fmt::format("{} bytes of {} could not be written", pending_.size(),
                          folder_.metrics().string()));
  ::close(file_);
}

void MetricsFile::open() {
  file_ = ::open(folder_.metrics().c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0)
    throw EnvironmentError(fmt::format("cannot write {}: {}", folder_.metrics().string(),
                                       std::generic_category().message(errno)));
}

// A file that was deleted or moved still takes lines, and nobody would see them.
bool MetricsFile::is_in_place() const {
  struct stat ours{}, there{};
  return ::fstat(file_, &ours) == 0 && ::stat(folder_.metrics().c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

void MetricsFile::line(const std::string& json) {
  if (!is_in_place()) {
    folder_.check_still_there();
    ::close(file_);
    open();
  }
  pending_ += json + "\n";
  write_pending();
}

// Lines wait in memory while the disk is full: numbers that people look at later are no reason to
// end a training.
void MetricsFile::write_pending() {
  while (!pending_.empty()) {
    const ssize_t written = ::write(file_, pending_.data(), pending_.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      if (!warned_)
        log_warning(
            fmt::format("cannot write {}: {}; training goes on, the lines are kept and "
                        "written when there is room",
                        folder_.metrics().string(), std::generic_category().message(errno)));
      warned_ = true;
      return;
    }
    pending_.erase(0, static_cast<size_t>(written));
  }
  warned_ = false;
}

void MetricsFile::attempt(int number, int64_t step, int64_t ranks, int64_t slots) {
  const nlohmann::ordered_json json = {{"kind", "attempt"}, {"attempt", number},
                                       {"step", step},      {"ranks", ranks},
                                       {"slots", slots},    {"time", wall_seconds()}};
  line(json.dump());
}

void MetricsFile::step(const StepResult& m) {
  nlohmann::ordered_json json = {{"step", m.step},
                                 {"epoch", number(m.epoch)},
                                 {"time", wall_seconds()},
                                 {"loss", number(m.loss)},
                                 {"lr", number(m.lr)},
                                 {"grad_norm", number(m.grad_norm)},
                                 {"samples_per_second", number(m.samples / m.step_seconds)},
                                 {"step_seconds", number(m.step_seconds)},
                                 {"data_wait_seconds", number(m.data_wait_seconds)}};
  put_phases(m, json);
  json["memory_bytes"] = m.memory_bytes;
  if (m.accuracy) json["accuracy"] = number(*m.accuracy);
  if (!m.updated) json["skipped"] = true;
  if (m.loss_scale) json["loss_scale"] = number(*m.loss_scale);
  line(json.dump());
}

void MetricsFile::evaluation(int64_t step, const std::map<std::string, double>& scores,
                             double seconds, const std::map<std::string, std::string>& record,
                             const std::vector<std::string>& smaller_is_better) {
  nlohmann::ordered_json json = {
      {"kind", "evaluation"}, {"step", step}, {"time", wall_seconds()}, {"seconds", seconds}};
  for (const auto& [name, value] : scores) json[name] = number(value);
  if (!record.empty()) json["record"] = record;
  if (!smaller_is_better.empty()) json["smaller_is_better"] = smaller_is_better;
  line(json.dump());
}

std::vector<std::map<std::string, double>> evaluations_written(const RunFolder& folder,
                                                               int64_t step) {
  std::vector<std::map<std::string, double>> found;
  if (!fs::exists(folder.metrics())) return found;
  std::istringstream lines(read_file(folder.metrics()));
  for (std::string text; std::getline(lines, text);) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object() || json.value("kind", "") != "evaluation" ||
        json.value("step", int64_t{0}) != step)
      continue;
    std::map<std::string, double>& scores = found.emplace_back();
    for (const auto& [name, value] : json.items())
      if (value.is_number() && name != "step" && name != "time" && name != "seconds")
        scores[name] = value;
  }
  return found;
}

int64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  long long total = 0, resident = 0;
  const int read = std::fscanf(file, "%lld %lld", &total, &resident);
  std::fclose(file);
  return read == 2 ? resident * sysconf(_SC_PAGESIZE) : 0;
}

}  // namespace lockstep
