#include "train/memory_meter.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

namespace lockstep {

struct MemoryMeter::Reporter : c10::MemoryReportingInfoBase {
  std::atomic<int64_t> now{0}, peak{0};

  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    const int64_t total = now.fetch_add(bytes) + bytes;
    int64_t highest = peak.load();
    while (total > highest && !peak.compare_exchange_weak(highest, total)) {
    }
  }
  bool memoryProfilingEnabled() const override { return true; }
};

MemoryMeter::MemoryMeter() : reporter_(std::make_shared<Reporter>()) {}
int64_t MemoryMeter::peak_bytes() const { return reporter_->peak.load(); }

struct MemoryMeter::Watch::Guard {
  c10::DebugInfoGuard guard;
};

MemoryMeter::Watch::Watch(const MemoryMeter& meter)
    : guard_(new Guard{c10::DebugInfoGuard(c10::DebugInfoKind::PROFILER_STATE, meter.reporter_)}) {}
MemoryMeter::Watch::~Watch() = default;

}  // namespace lockstep
