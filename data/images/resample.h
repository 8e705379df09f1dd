// Antialiased resizing, the same as Pillow's to the last bit: the de facto standard of image data,
// and what published FID values were computed with (Parmar et al., "On Aliased Resizing and
// Surprising Subtleties in GAN Evaluation", CVPR 2022, arXiv:2104.11222).
//
// Each output pixel is a weighted mean of the input pixels under the filter, stretched by the scale
// when shrinking. Rows first, then columns, rounded to bytes in between; weights are fixed-point
// numbers of 22 bits.
#pragma once

#include <cstdint>
#include <string>

#include "data/images/pixels.h"

namespace lockstep {

enum class Filter { kNearest, kBox, kBilinear, kBicubic, kLanczos };

// By name: nearest, box, bilinear, bicubic, lanczos. Throws ConfigError.
Filter filter_of(const std::string& name);

// `image` with `width` × `height` pixels, both ≥ 1. RGBA is resized with colours times alpha, so
// that what does not show does not bleed. Any thread.
Pixels resample(const Pixels& image, int64_t width, int64_t height, Filter filter);

}  // namespace lockstep
