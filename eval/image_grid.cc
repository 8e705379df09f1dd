#include "eval/image_grid.h"

#include <cmath>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr int kBorder = 2;
constexpr Color kBlack = {0, 0, 0};

void check_channels(int64_t channels) {
  if (channels != 1 && channels != 3)
    throw ConfigError(fmt::format("pictures with {} channels cannot be drawn as PNG", channels),
                      "1 (grey) and 3 (colour) can; write a .safetensors file");
}

// Copies u8 [C, H, W] to (x, y).
void paste(Picture& picture, const at::Tensor& image, int x, int y) {
  const at::Tensor values = image.contiguous();
  const auto* data = values.const_data_ptr<uint8_t>();
  const int64_t height = values.size(1), width = values.size(2),
                plane = values.size(0) == 3 ? height * width : 0;
  for (int64_t row = 0; row < height; ++row)
    for (int64_t column = 0; column < width; ++column) {
      const uint8_t* pixel = data + row * width + column;
      picture.fill(x + static_cast<int>(column), y + static_cast<int>(row), 1, 1,
                   {pixel[0], pixel[plane], pixel[2 * plane]});
    }
}

}  // namespace

Picture image_grid(const at::Tensor& images, int64_t columns) {
  check_channels(images.size(1));
  const int64_t count = images.size(0);
  if (columns <= 0)
    columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  columns = std::max<int64_t>(1, std::min(columns, count));
  const int64_t rows = (count + columns - 1) / columns;
  const int width = static_cast<int>(images.size(3)) + kBorder,
            height = static_cast<int>(images.size(2)) + kBorder;
  Picture picture(static_cast<int>(columns) * width + kBorder,
                  static_cast<int>(rows) * height + kBorder, kBlack);
  for (int64_t i = 0; i < count; ++i)
    paste(picture, images[i], kBorder + static_cast<int>(i % columns) * width,
          kBorder + static_cast<int>(i / columns) * height);
  return picture;
}

Picture single_image(const at::Tensor& image) {
  check_channels(image.size(0));
  Picture picture(static_cast<int>(image.size(2)), static_cast<int>(image.size(1)), kBlack);
  paste(picture, image, 0, 0);
  return picture;
}

}  // namespace lockstep
