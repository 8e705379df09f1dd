// TensorBoard's event file, written with core/protobuf.h: the format is small and stable.
//
// A record is u64 length, u32 masked CRC-32C of those 8 bytes, data, u32 masked CRC-32C of data
// (little-endian; mask(c) = rotr(c, 15) + 0xa282ead8). The data is a protocol buffer `Event`:
// 1 double wall_time, 2 int64 step, 3 string file_version, 5 Summary; Summary: 1 repeated Value;
// Value: 1 string tag, 2 float simple_value, 4 Image; Image: 1 height, 2 width, 3 colorspace,
// 4 bytes of a PNG. Tags are torchtitan's where it has one, so that its dashboards fit.
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"
#include "core/protobuf.h"
#include "report/report.h"
#include "report/run_facts.h"

namespace lockstep {
namespace {

// CRC-32C (Castagnoli), reflected polynomial 0x82F63B78.
uint32_t crc32c(const std::string& bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = c & 1u ? 0x82F63B78u ^ c >> 1 : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  uint32_t crc = ~0u;
  for (char byte : bytes) crc = table[(crc ^ static_cast<unsigned char>(byte)) & 0xFFu] ^ crc >> 8;
  return ~crc;
}

uint32_t masked(uint32_t crc) { return std::rotr(crc, 15) + 0xA282EAD8u; }

template <class T>
std::string little_endian(T value) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string record(const std::string& data) {
  const std::string length = little_endian(static_cast<uint64_t>(data.size()));
  return length + little_endian(masked(crc32c(length))) + data +
         little_endian(masked(crc32c(data)));
}

std::string event(double time, int64_t step, const ProtoMessage& summary) {
  ProtoMessage event;
  event.real64(1, time);
  event.integer(2, step);
  event.message(5, summary);
  return record(event.text());
}

void add_scalar(ProtoMessage& summary, const std::string& tag, double value) {
  ProtoMessage entry;
  entry.bytes(1, tag);
  entry.real(2, static_cast<float>(value));
  summary.message(1, entry);
}

std::string tag_of(const std::string& name) {
  static const std::map<std::string, std::string> tags{
      {"loss", "loss_metrics/global_avg_loss"},
      {"grad_norm", "grad_norm"},
      {"lr", "lr"},
      {"tokens_per_second", "throughput(tps)"},
      {"samples_per_second", "throughput(samples/s)"},
      {"step_seconds", "time_metrics/end_to_end(s)"},
      {"data_wait_seconds", "time_metrics/data_loading(s)"},
      {"comm_exposed_seconds", "time_metrics/comm_exposed(s)"},
      {"memory_bytes", "memory/max_reserved(GiB)"},
  };
  const auto found = tags.find(name);
  return found == tags.end() ? name : found->second;
}

ProtoMessage step_summary(const StepLine& line) {
  ProtoMessage summary;
  for (const auto& [name, value] : line.values)
    if (std::isfinite(value))
      add_scalar(summary, tag_of(name), name == "memory_bytes" ? value / (1 << 30) : value);
  const double share = 100 * line.value("data_wait_seconds") / line.value("step_seconds");
  if (std::isfinite(share)) add_scalar(summary, "time_metrics/data_loading(%)", share);
  return summary;
}

uint32_t big_endian(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// Nothing if the file is no PNG. Width and height stand at fixed places of its first chunk.
std::optional<ProtoMessage> picture_summary(const Picture& picture) {
  std::string png;
  try {
    png = read_file(picture.path, size_t{8} << 20);
  } catch (const Error&) {
    return std::nullopt;
  }
  if (png.size() < 26 || png.rfind("\x89PNG\r\n\x1a\n", 0) != 0) return std::nullopt;
  ProtoMessage image, entry, summary;
  image.integer(1, big_endian(png, 20));
  image.integer(2, big_endian(png, 16));
  image.integer(3, png[25] == 0 ? 1 : png[25] == 4 ? 2 : png[25] == 6 ? 4 : 3);
  image.bytes(4, png);
  entry.bytes(1, "samples");
  entry.message(4, image);
  summary.message(1, entry);
  return summary;
}

// Time of the logged step at or before `step`.
double time_of(const Metrics& metrics, int64_t step) {
  double time = 0;
  for (const StepLine& line : metrics.steps)
    if (line.step <= step) time = line.time;
  return time;
}

constexpr const char* kFileEnd = ".lockstep.0.0";

// Files of an earlier call whose first step has been dropped since.
void remove_older(const RunFolder& run, const std::string& keep) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator it(run.root, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename();
    if (name.rfind("events.out.tfevents.", 0) == 0 && name.ends_with(kFileEnd) && name != keep)
      found.push_back(it->path());
  }
  for (const fs::path& path : found) fs::remove(path, error);
}

}  // namespace

void write_tensorboard(const RunFolder& run) {
  const RunFacts facts = read_run_facts(run);
  const Metrics& metrics = facts.metrics;
  if (metrics.steps.empty() && metrics.evaluations.empty()) return;
  const double start =
      metrics.steps.empty() ? metrics.evaluations.front().time : metrics.steps.front().time;
  ProtoMessage first;
  first.real64(1, start);
  first.bytes(3, "brain.Event:2");
  std::string content = record(first.text());
  for (const StepLine& line : metrics.steps)
    content += event(line.time, line.step, step_summary(line));
  for (const EvaluationLine& line : metrics.evaluations) {
    ProtoMessage summary;
    for (const auto& [name, value] : line.scores)
      if (std::isfinite(value))
        add_scalar(summary, "validation_metrics/" + (name == "validation_loss" ? "loss" : name),
                   value);
    content += event(line.time, line.step, summary);
  }
  for (const Picture& picture : facts.pictures) {
    if (picture.step < 0) continue;
    if (const auto summary = picture_summary(picture))
      content += event(time_of(metrics, picture.step), picture.step, *summary);
  }
  // One file for the whole run: a second one would show every step twice.
  const std::string name =
      fmt::format("events.out.tfevents.{:010}{}", static_cast<int64_t>(start), kFileEnd);
  remove_older(run, name);
  write_file_atomic(run.root / name, content);
}

}  // namespace lockstep
