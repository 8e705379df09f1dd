#include <algorithm>
#include <cstdlib>
#include <span>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/errors.h"
#include "data/images/decode_image.h"
#include "data/images/image_fit.h"
#include "data/images/resample.h"
#include "tensor/safetensors.h"
#include "tests/data/made_folder.h"

namespace lockstep {
namespace {

// Files and what Pillow makes of them: golden/make_images.py.
const SafetensorsFile& golden() {
  static const SafetensorsFile file(LOCKSTEP_SOURCE_DIR "/tests/data/golden/images.safetensors");
  return file;
}

std::span<const uint8_t> bytes_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<uint8_t>(), static_cast<size_t>(tensor.numel())};
}

Pixels pixels_of(const std::string& name) {
  const at::Tensor tensor = golden().load(name);
  Pixels pixels(tensor.size(1), tensor.size(0), tensor.dim() == 3 ? tensor.size(2) : 1);
  const auto bytes = bytes_of(tensor);
  pixels.data.assign(bytes.begin(), bytes.end());
  return pixels;
}

// Largest difference of a byte; 1000 if the sizes differ.
int distance(const Pixels& a, const Pixels& b) {
  if (a.width != b.width || a.height != b.height || a.channels != b.channels) return 1000;
  int largest = 0;
  for (size_t i = 0; i < a.data.size(); ++i)
    largest = std::max(largest, std::abs(a.data[i] - b.data[i]));
  return largest;
}

TEST(DecodeImage, GivesThePixelsThatPillowGives) {
  int files = 0;
  for (const TensorInfo& info : golden().tensors()) {
    if (!info.name.starts_with("file.")) continue;
    const std::string name = info.name.substr(5);
    const at::Tensor file = golden().load(info.name);
    DecodedImage decoded = decode_image(bytes_of(file));
    ImageFitOptions options;
    const Pixels ours = fit_image(std::move(decoded.pixels), decoded.orientation, options);
    // Another build of libjpeg may round its DCT differently by one level.
    EXPECT_LE(distance(ours, pixels_of("pixels." + name)), name.starts_with("jpeg") ? 1 : 0)
        << name;
    ++files;
  }
  EXPECT_EQ(files, 21);
}

TEST(DecodeImage, RefusesWhatIsCutShortAnywhere) {
  for (const char* name : {"file.png_rgb", "file.jpeg_420", "file.jpeg_progressive",
                           "file.jpeg_cmyk", "file.png_palette"}) {
    const at::Tensor file = golden().load(name);
    const auto bytes = bytes_of(file);
    // The last 12 bytes of a PNG are its end mark; a JPEG's are 2.
    for (size_t size = 0; size + 2 < bytes.size(); size += 1 + size / 16)
      EXPECT_THROW(decode_image(bytes.first(size)), DataError)
          << name << " of " << size << " bytes";
  }
}

TEST(DecodeImage, NamesTheFormatItDoesNotRead) {
  const auto message = [](std::string_view text) {
    return data_error(
        [&] { decode_image({reinterpret_cast<const uint8_t*>(text.data()), text.size()}); });
  };
  EXPECT_NE(message("GIF89a............").find("GIF, not PNG or JPEG"), std::string::npos);
  EXPECT_NE(message("hello").find("neither PNG nor JPEG"), std::string::npos);
  EXPECT_NE(message("").find("empty"), std::string::npos);
}

TEST(Resample, GivesThePixelsThatPillowGives) {
  const Pixels source = pixels_of("resize.source");
  int sizes = 0;
  for (const TensorInfo& info : golden().tensors()) {
    const size_t dot = info.name.rfind('.');
    if (!info.name.starts_with("resize.") || dot < 8) continue;
    const std::string filter = info.name.substr(7, dot - 7);
    const Pixels expected = pixels_of(info.name);
    EXPECT_LE(
        distance(resample(source, expected.width, expected.height, filter_of(filter)), expected), 0)
        << info.name;
    ++sizes;
  }
  EXPECT_EQ(sizes, 20);
  const Pixels transparent = resample(pixels_of("resize.source_rgba"), 9, 12, Filter::kBicubic);
  EXPECT_LE(distance(transparent, pixels_of("resize_rgba.bicubic.9x12")), 1);
}

TEST(ImageFit, FollowsTorchvisionInStretchAndShorterSide) {
  ImageFitOptions options;
  options.size = 12;
  EXPECT_EQ(distance(fit_image(pixels_of("resize.source"), 1, options), pixels_of("fit.stretch")),
            0);
  options.resize = "shorter_side";
  EXPECT_EQ(
      distance(fit_image(pixels_of("resize.source"), 1, options), pixels_of("fit.shorter_side")),
      0);
}

TEST(ImageFit, PutsTheWholePictureIntoABlackBox) {
  ImageFitOptions options;
  options.size = 10;
  options.resize = "box";
  Pixels wide(20, 10, 3);
  std::fill(wide.data.begin(), wide.data.end(), uint8_t{200});
  const Pixels fitted = fit_image(wide, 1, options);
  EXPECT_EQ(fitted.at(5, 1)[0], 0);
  EXPECT_EQ(fitted.at(0, 2)[0], 200);
  EXPECT_EQ(fitted.at(9, 6)[2], 200);
  EXPECT_EQ(fitted.at(5, 8)[1], 0);
}

TEST(WithChannels, MakesGreyAsPillowAndLaysAlphaOverAColour) {
  EXPECT_EQ(
      distance(with_channels(pixels_of("resize.source"), 1, Alpha::kDrop), pixels_of("gray.luma")),
      0);
  Pixels dot(1, 1, 4);
  dot.data = {100, 0, 255, 51};  // alpha 0.2
  EXPECT_EQ(with_channels(dot, 3, Alpha::kDrop).data, (std::vector<uint8_t>{100, 0, 255}));
  EXPECT_EQ(with_channels(dot, 3, Alpha::kWhite).data, (std::vector<uint8_t>{224, 204, 255}));
  EXPECT_EQ(with_channels(dot, 3, Alpha::kBlack).data, (std::vector<uint8_t>{20, 0, 51}));
}

}  // namespace
}  // namespace lockstep
