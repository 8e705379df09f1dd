#include "data/images/image_fit.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"

namespace lockstep {
namespace {

// Half of `extra` as Python's round() gives it, as torchvision's CenterCrop does.
int64_t half(int64_t extra) {
  return static_cast<int64_t>(std::nearbyint(static_cast<double>(extra) / 2));
}

Pixels shorter_side(const Pixels& image, int64_t size, Filter filter) {
  const int64_t shorter = std::min(image.width, image.height),
                longer = std::max(image.width, image.height);
  const int64_t other = size * longer / shorter;
  const bool wide = image.width >= image.height;
  const int64_t width = wide ? other : size, height = wide ? size : other;
  return resample(image, Window{width, height, half(width - size), half(height - size), size, size},
                  filter);
}

Pixels in_box(const Pixels& image, int64_t size, Filter filter) {
  const int64_t longer = std::max(image.width, image.height);
  const auto scaled = [&](int64_t side) {
    return std::max<int64_t>(1, (side * size + longer / 2) / longer);
  };
  const Pixels resized = resample(image, scaled(image.width), scaled(image.height), filter);
  Pixels out(size, size, image.channels);
  if (image.channels == 4)
    for (int64_t i = 3; i < size * size * 4; i += 4) out.data[static_cast<size_t>(i)] = 255;
  const int64_t left = (size - resized.width) / 2, top = (size - resized.height) / 2;
  for (int64_t y = 0; y < resized.height; ++y)
    std::copy_n(resized.at(0, y), resized.width * image.channels, out.at(left, top + y));
  return out;
}

}  // namespace

void check_fit(const ImageFitOptions& options) {
  if (options.channels == 2) throw ConfigError("channels is 2", "1 grey, 3 RGB, 4 RGBA");
}

Pixels fit_image(Pixels image, int orientation, const ImageFitOptions& options) {
  if (options.exif_orientation) image = upright(std::move(image), orientation);
  const Alpha alpha = options.alpha == "white"   ? Alpha::kWhite
                      : options.alpha == "black" ? Alpha::kBlack
                                                 : Alpha::kDrop;
  image = with_channels(image, options.channels, alpha);
  if (options.size == 0) return image;
  const Filter filter = filter_of(options.filter);
  if (options.resize == "shorter_side") return shorter_side(image, options.size, filter);
  if (options.resize == "box") return in_box(image, options.size, filter);
  return resample(image, options.size, options.size, filter);
}

}  // namespace lockstep
