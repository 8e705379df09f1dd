// Pictures: `images` u8 [C, H, W] of one size, if there `labels` (a class number ≥ 0 a picture).
//
// Training reads bytes and converts on the device, so a batch crosses the bus at a quarter of
// float32.
#pragma once

#include <memory>
#include <span>

#include "data/shards/arrays_dataset.h"

namespace lockstep {

// Throws DataError naming dataset.json if it declares anything but those arrays.
std::unique_ptr<Dataset> make_images_dataset(const ShardList& list, const ArraysOptions& options);

// `images` u8 or float [B, C, H, W] on the CPU with about half of them mirrored left to right.
// Whether sample ids[i] is mirrored at `step` is decided by Philox (kSymmetry, element 0), so
// neither ranks nor batches nor a resume change it. Padding (id −1) is never mirrored. Any thread.
at::Tensor mirror_by_sample(const at::Tensor& images, std::span<const int64_t> ids, uint64_t seed,
                            uint32_t step);

}  // namespace lockstep
