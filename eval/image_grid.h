// Pictures side by side, as torchvision's make_grid lays them out.
#pragma once

#include <ATen/core/Tensor.h>

#include "eval/png_file.h"

namespace lockstep {

// `images` u8 [N, C, H, W] with C = 1 (grey) or 3 in `columns` columns (0: as many as rows, rounded
// up), two black pixels around each. Throws ConfigError for other channels.
Picture image_grid(const at::Tensor& images, int64_t columns = 0);
// One picture alone, without a border. `image` u8 [C, H, W].
Picture single_image(const at::Tensor& image);

}  // namespace lockstep
