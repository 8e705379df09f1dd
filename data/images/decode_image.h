// Decodes PNG and JPEG files from memory. Bytes from outside are hostile: sizes are bounded before
// memory is taken, a truncated or damaged picture is an error and never a half-grey one.
//
// PNG by libpng, JPEG by libjpeg-turbo with its accurate DCT: the codecs and settings of Pillow, so
// pixels agree with Python's. Palettes become RGB(A), 1, 2 and 4 bits 8, 16 bits are scaled to 8
// and rounded, CMYK and YCCK become RGB by Adobe's convention of inverted ink.
#pragma once

#include <cstdint>
#include <span>

#include "data/images/pixels.h"

namespace lockstep {

struct DecodedImage {
  Pixels pixels;
  int orientation = 1;  // EXIF tag 0x0112, 1 if there is none
};

// Largest picture that is decoded: 2^27 pixels, 65,500 a side.
inline constexpr int64_t kMaxPixels = int64_t{1} << 27;
inline constexpr int64_t kMaxSide = 65500;

// By the first bytes, whatever the file's name says. Throws DataError (without place) saying what
// is wrong. Any thread.
DecodedImage decode_image(std::span<const uint8_t> bytes);
DecodedImage decode_png(std::span<const uint8_t> bytes);
DecodedImage decode_jpeg(std::span<const uint8_t> bytes);

// The orientation in a block of EXIF data that starts with its TIFF header; 1 if there is none or
// the block is damaged (then the picture itself may still be fine).
int exif_orientation(std::span<const uint8_t> tiff);

// Throws DataError if a picture of that size is not to be decoded.
void check_image_size(int64_t width, int64_t height);

}  // namespace lockstep
