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

// A part of a resized picture: of `width` × `height` pixels the rectangle of `columns` × `rows`
// whose corner is (left, top).
struct Window {
  int64_t width = 0, height = 0;
  int64_t left = 0, top = 0;
  int64_t columns = 0, rows = 0;
};

// That part alone, with the same bytes as if the whole had been resized and cut. Memory follows the
// window and the input: cutting the centre out of a very thin picture costs no more than the
// centre. The window lies inside the resized picture. Any thread.
Pixels resample(const Pixels& image, const Window& window, Filter filter);

}  // namespace lockstep
