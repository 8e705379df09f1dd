// Stands in for LibTorch's header of that name (tests/emulation/gpu).
#pragma once

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Device.h>

#include "tests/emulation/gpu/memory.h"

namespace c10::cuda::CUDACachingAllocator {

inline void init(int) {}
inline void emptyCache() {}
inline void resetPeakStats(DeviceIndex) { emulation::forget_peak(); }
inline CachingDeviceAllocator::DeviceStats getDeviceStats(DeviceIndex) {
  CachingDeviceAllocator::DeviceStats stats;
  const emulation::MemoryUse use = emulation::memory_use();
  auto& all = stats.allocated_bytes[static_cast<size_t>(CachingAllocator::StatType::AGGREGATE)];
  all.current = use.current;
  all.peak = use.peak;
  return stats;
}

}  // namespace c10::cuda::CUDACachingAllocator
