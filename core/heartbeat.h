// A shared page in which a rank tells the supervisor what it is doing.
//
// One file of one page per rank in the run folder's logs/attempt-N/, mapped by both sides; the
// layout is in docs/formats.md. Writing costs a few stores; nothing blocks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lockstep {

enum class Phase : uint32_t {
  kStart,
  kData,
  kCompute,
  kCommunicate,
  kCheckpoint,
  kEvaluate,
  kDone
};
const char* phase_name(Phase phase);

struct Heartbeat {
  int64_t pid = 0;
  int64_t step = 0;
  Phase phase = Phase::kStart;
  double monotonic_seconds = 0;  // CLOCK_MONOTONIC of the last write
  int64_t resident_bytes = 0;
};

class HeartbeatPage {
 public:
  // `create` true: the rank's side. Throws EnvironmentError.
  HeartbeatPage(const std::filesystem::path& path, bool create);
  ~HeartbeatPage();
  HeartbeatPage(const HeartbeatPage&) = delete;
  HeartbeatPage& operator=(const HeartbeatPage&) = delete;
  // The rank's side, one thread at a time.
  void write(int64_t step, Phase phase);
  // The supervisor's side. pid 0: the rank has not written yet.
  Heartbeat read() const;

 private:
  void* page_ = nullptr;
  bool writable_ = false;
  int64_t resident_ = 0;
  double resident_read_ = 0;
};

}  // namespace lockstep
