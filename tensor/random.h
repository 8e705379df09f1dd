// Tensors filled from a Philox stream: row i holds the numbers of (ids[i], step), element by
// element, so a row is the same in whatever batch, rank or order it is made.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "core/philox.h"

namespace lockstep {

// float32 [ids.size(), shape...], contiguous on the CPU: uniform in [0, 1), or standard normal.
// Element e of a row, counted in row-major order, is stream.uniform(id, step, e) or .normal(…).
// A row has fewer than 2^34 elements (the counter's 32 bits of blocks of four); more is an
// InternalError.
at::Tensor random_uniform(const Stream& stream, const std::vector<int64_t>& ids, uint32_t step,
                          const std::vector<int64_t>& shape);
at::Tensor random_normal(const Stream& stream, const std::vector<int64_t>& ids, uint32_t step,
                         const std::vector<int64_t>& shape);

}  // namespace lockstep
