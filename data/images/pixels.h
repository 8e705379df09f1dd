// A decoded picture, and what is done to it before it is resized. No torch here: these files are
// also built alone under a sanitizer (tests/data/fuzz).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lockstep {

// 8-bit pixels, rows from the top, channels interleaved: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
struct Pixels {
  int64_t width = 0, height = 0, channels = 0;
  std::vector<uint8_t> data;

  Pixels() = default;
  Pixels(int64_t w, int64_t h, int64_t c)
      : width(w), height(h), channels(c), data(static_cast<size_t>(w * h * c)) {}
  const uint8_t* at(int64_t x, int64_t y) const { return data.data() + (y * width + x) * channels; }
  uint8_t* at(int64_t x, int64_t y) { return data.data() + (y * width + x) * channels; }
};

// What becomes of an alpha channel when the target has none.
enum class Alpha {
  kDrop,   // colours as stored, also where nothing shows (what Pillow's convert does)
  kWhite,  // laid over white
  kBlack   // laid over black
};

// `image` with 1 (grey), 3 (RGB) or 4 (RGBA) channels. Grey of colours is ITU-R 601-2 luma in
// 16-bit fixed point, as Pillow's, so that pictures agree with Python's.
Pixels with_channels(const Pixels& image, int64_t channels, Alpha alpha);

// `image` turned and mirrored upright. `orientation` is EXIF tag 0x0112: 1 upright, 2 mirrored,
// 3 upside down, 4 both, 5 transposed, 6 needs a quarter turn clockwise, 7 transversed, 8 a quarter
// turn counter-clockwise; anything else leaves the picture as it is (EXIF 2.3, 4.6.4 A).
Pixels upright(Pixels image, int orientation);

// Channel after channel (C, H, W), as datasets hold pictures.
void to_planes(const Pixels& image, uint8_t* out);

}  // namespace lockstep
