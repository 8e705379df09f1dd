// The error for a device whose memory was not enough. It names the largest tensors and the
// micro_batch that would fit.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/errors.h"

namespace lockstep {

struct MemoryUse {
  std::vector<std::pair<std::string, int64_t>> fixed;  // what a run keeps, with bytes: "weights" …
  int64_t total_bytes = 0;                             // of the device
  int64_t peak_bytes = 0;                              // in tensors when it failed, or before
  int64_t micro_batch = 1;                             // rows of a forward
  int64_t rows_of_slot = 1;                            // micro_batch divides it
  int64_t micro_batches = 1;                           // a slot now has so many
};

// The largest divisor of `rows_of_slot` below `micro_batch` whose activations would fit, or 0.
// Assumes that half as many rows need half as much memory.
int64_t micro_batch_that_fits(const MemoryUse& use);

// `what` is LibTorch's own message.
EnvironmentError out_of_memory_error(const MemoryUse& use, const std::string& what);

}  // namespace lockstep
