// Stands in for NVTX's header: ranges that nobody looks at must still nest.
#pragma once

#include "tests/emulation/gpu/timeline.h"

inline thread_local int open_nvtx_ranges = 0;
inline int nvtxRangePushA(const char*) { return open_nvtx_ranges++; }
inline int nvtxRangePop() {
  if (open_nvtx_ranges == 0) emulation::blame("an NVTX range was closed that was never opened");
  return --open_nvtx_ranges;
}
