#include "data/images/pixels.h"

#include <utility>

namespace lockstep {
namespace {

uint8_t luma(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

// a·b/255, rounded.
uint8_t times(unsigned a, unsigned b) { return static_cast<uint8_t>((a * b + 127) / 255); }

uint8_t over(uint8_t color, uint8_t alpha, Alpha policy) {
  if (policy == Alpha::kDrop) return color;
  const uint8_t ground = policy == Alpha::kWhite ? 255 : 0;
  return static_cast<uint8_t>(times(color, alpha) + times(ground, 255u - alpha));
}

}  // namespace

Pixels with_channels(const Pixels& image, int64_t channels, Alpha policy) {
  if (image.channels == channels) return image;
  const bool colored = image.channels >= 3,
             transparent = image.channels == 2 || image.channels == 4;
  Pixels out(image.width, image.height, channels);
  const uint8_t* in = image.data.data();
  uint8_t* to = out.data.data();
  for (int64_t i = 0; i < image.width * image.height; ++i, in += image.channels, to += channels) {
    const uint8_t alpha = transparent ? in[image.channels - 1] : 255;
    uint8_t rgb[3] = {in[0], colored ? in[1] : in[0], colored ? in[2] : in[0]};
    if (channels != 4)
      for (uint8_t& color : rgb) color = over(color, alpha, policy);
    if (channels == 1) {
      to[0] = colored ? luma(rgb) : rgb[0];
      continue;
    }
    for (int c = 0; c < 3; ++c) to[c] = rgb[c];
    if (channels == 4) to[3] = alpha;
  }
  return out;
}

Pixels upright(Pixels image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const bool swapped = orientation >= 5;
  Pixels out(swapped ? image.height : image.width, swapped ? image.width : image.height,
             image.channels);
  const int64_t last_x = image.width - 1, last_y = image.height - 1;
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x) {
      // Where the pixel shown at (x, y) is stored.
      int64_t from_x = swapped ? y : x, from_y = swapped ? x : y;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
        from_x = last_x - from_x;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
        from_y = last_y - from_y;
      for (int64_t c = 0; c < image.channels; ++c) out.at(x, y)[c] = image.at(from_x, from_y)[c];
    }
  return out;
}

void to_planes(const Pixels& image, uint8_t* out) {
  const int64_t area = image.width * image.height;
  for (int64_t c = 0; c < image.channels; ++c)
    for (int64_t i = 0; i < area; ++i)
      out[c * area + i] = image.data[static_cast<size_t>(i * image.channels + c)];
}

}  // namespace lockstep
