#include "train/metrics.h"

#include <chrono>
#include <cmath>
#include <sstream>

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"

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
void put_phases(const StepMetrics& m, nlohmann::ordered_json& json) {
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

MetricsFile::MetricsFile(const RunFolder& folder, int attempt, int64_t step) {
  move_lines_past(folder, attempt, step);
  file_ = std::fopen(folder.metrics().c_str(), "a");
  if (file_ == nullptr) throw EnvironmentError("cannot write " + folder.metrics().string());
}

MetricsFile::~MetricsFile() { std::fclose(file_); }

void MetricsFile::line(const std::string& json) {
  std::fputs((json + "\n").c_str(), file_);
  if (std::fflush(file_) != 0)
    throw EnvironmentError("cannot write metrics.jsonl",
                           "is the disk full? free some space and resume the run");
}

void MetricsFile::attempt(int number, int64_t step, int64_t ranks, int64_t slots) {
  const nlohmann::ordered_json json = {{"kind", "attempt"}, {"attempt", number},
                                       {"step", step},      {"ranks", ranks},
                                       {"slots", slots},    {"time", wall_seconds()}};
  line(json.dump());
}

void MetricsFile::step(const StepMetrics& m) {
  nlohmann::ordered_json json = {{"step", m.step},
                                 {"epoch", number(m.epoch)},
                                 {"time", wall_seconds()},
                                 {"loss", number(m.loss)},
                                 {"lr", number(m.lr)},
                                 {"grad_norm", number(m.grad_norm)},
                                 {"samples_per_second", number(m.samples_per_second)},
                                 {"step_seconds", number(m.step_seconds)},
                                 {"data_wait_seconds", number(m.data_wait_seconds)}};
  put_phases(m, json);
  json["memory_bytes"] = m.memory_bytes;
  if (m.accuracy) json["accuracy"] = number(*m.accuracy);
  if (m.skipped) json["skipped"] = true;
  if (m.loss_scale) json["loss_scale"] = number(*m.loss_scale);
  line(json.dump());
}

void MetricsFile::evaluation(int64_t step, const std::map<std::string, double>& scores,
                             double seconds, const std::map<std::string, std::string>& record) {
  nlohmann::ordered_json json = {
      {"kind", "evaluation"}, {"step", step}, {"time", wall_seconds()}, {"seconds", seconds}};
  for (const auto& [name, value] : scores) json[name] = number(value);
  if (!record.empty()) json["record"] = record;
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
