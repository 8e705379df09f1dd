// The two sides of `lockstep sample --interpolate`: tensors of a file, or two pictures.
#pragma once

#include "models/denoiser.h"
#include "tasks/task.h"
#include "tensor/named.h"

namespace lockstep {

// Tensors x1 and x2 f32 [B, C, H, W] in [-1, 1], and, from a .safetensors file alone, noise1,
// noise2 and step_noise. `--interpolate FILE.safetensors`, or `A,B` with PNG or JPEG files, which
// come to `size` as those of data.train did (request.recipe; stretched if that is not there any
// more, which the log says). Throws ConfigError for other words, DataError for what does not fit
// the network.
NamedTensors read_picture_pair(const SampleRequest& request, const DenoiserFacts& facts,
                               int64_t size);

}  // namespace lockstep
