#include <algorithm>
#include <cstdlib>
#include <span>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "core/errors.h"
#include "data/images/decode_image.h"
#include "data/images/image_fit.h"
#include "data/images/resample.h"
#include "tensor/safetensors.h"
#include "tests/data/made_folder.h"
#include "tests/data/memory_bound.h"

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

// A JPEG file of golden/make_images.py whose bytes can be changed.
std::vector<uint8_t> jpeg_file(const char* name) {
  const at::Tensor file = golden().load(name);
  const auto bytes = bytes_of(file);
  return {bytes.begin(), bytes.end()};
}

// Where the marker FF `code` stands.
size_t marker(const std::vector<uint8_t>& file, uint8_t code) {
  for (size_t i = 2; i + 1 < file.size(); ++i)
    if (file[i] == 0xff && file[i + 1] == code) return i;
  ADD_FAILURE() << "no marker";
  return 0;
}

TEST(DecodeImage, TakesWholeJpegFilesThatLibjpegOnlyWarnsAbout) {
  const std::vector<uint8_t> whole = jpeg_file("file.jpeg_420");
  const Pixels expected = decode_image(whole).pixels;
  std::vector<uint8_t> version = whole, scan = whole, no_end = whole, extra = whole;
  version[marker(whole, 0xe0) + 9] = 2;  // JFIF 2.01
  const size_t sos = marker(whole, 0xda);
  scan[sos + 2 + (whole[sos + 2] << 8 | whole[sos + 3]) - 2] = 0;  // Se 0, not 63
  no_end.resize(no_end.size() - 2);
  extra.insert(extra.begin() + static_cast<std::ptrdiff_t>(marker(whole, 0xdb)), {1, 2, 3});
  for (const auto& file : {version, scan, no_end, extra})
    EXPECT_EQ(distance(decode_image(file).pixels, expected), 0);
}

TEST(DecodeImage, RefusesAJpegWithoutAScanOrWithDamagedData) {
  std::vector<uint8_t> file = jpeg_file("file.jpeg_progressive");
  size_t last = 0;
  for (size_t i = 0; i + 1 < file.size(); ++i)
    if (file[i] == 0xff && file[i + 1] == 0xda) last = i;
  file.resize(last);  // all of its last scan
  EXPECT_THROW(decode_image(file), DataError);
  std::vector<uint8_t> damaged = jpeg_file("file.jpeg_420");
  const size_t data = marker(damaged, 0xda) + 14;
  damaged[data + 20] = 0xff;
  damaged[data + 21] = 0xd9;  // an end mark within the data
  EXPECT_THROW(decode_image(damaged), DataError);
}

std::string number32(size_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 255);
  return text;
}

std::string png_chunk(const std::string& type, const std::string& body) {
  const std::string content = type + body;
  const auto crc =
      crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
  return number32(body.size()) + content + number32(crc);
}

// A grey picture of 2 × 1 pixels with `before` and `behind` its pixels.
std::string small_png(const std::string& before, const std::string& behind) {
  const std::string row("\0\x10\x20", 3);
  std::string packed(64, '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(row.data()), row.size());
  packed.resize(size);
  return "\x89PNG\r\n\x1a\n" +
         png_chunk("IHDR", number32(2) + number32(1) + std::string("\x08\0\0\0\0", 5)) + before +
         png_chunk("IDAT", packed) + behind + png_chunk("IEND", "");
}

// EXIF data with orientation 6 as a value of `type`: 1 BYTE, 3 SHORT, 4 LONG.
std::string exif(char type) {
  const std::string value = type == 4   ? std::string("\0\0\0\x06", 4)
                            : type == 3 ? std::string("\0\x06\0\0", 4)
                                        : std::string("\x06\0\0\0", 4);
  return std::string("MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0", 13) + type +
         std::string("\0\0\0\x01", 4) + value + std::string(4, '\0');
}

std::string raw_profile_of(const std::string& bytes) {
  std::string hex;
  for (size_t i = 0; i < bytes.size(); ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    if (i % 36 == 0) hex += '\n';
    hex += kDigits[static_cast<uint8_t>(bytes[i]) >> 4];
    hex += kDigits[static_cast<uint8_t>(bytes[i]) & 15];
  }
  return "\nexif\n      " + std::to_string(bytes.size()) + hex + "\n";
}

TEST(DecodeImage, FindsTheOrientationOfAPngWhereverItStands) {
  const std::string profile = raw_profile_of(std::string("Exif\0\0", 6) + exif(3));
  const std::string files[] = {
      small_png(png_chunk("eXIf", exif(3)), ""),
      small_png("", png_chunk("eXIf", exif(3))),
      small_png("", png_chunk("eXIf", exif(4))),
      small_png("", png_chunk("eXIf", exif(1))),
      small_png(png_chunk("tEXt", std::string("Raw profile type exif\0", 22) + profile), ""),
      small_png("", png_chunk("tEXt", std::string("Raw profile type APP1\0", 22) + profile))};
  for (const std::string& file : files)
    EXPECT_EQ(
        decode_image({reinterpret_cast<const uint8_t*>(file.data()), file.size()}).orientation, 6);
  for (const std::string& text :
       {std::string("nothing"), std::string("\nexif\n 4\nzz"), std::string()}) {
    const std::string file =
        small_png(png_chunk("tEXt", std::string("Raw profile type exif\0", 22) + text), "");
    EXPECT_EQ(
        decode_image({reinterpret_cast<const uint8_t*>(file.data()), file.size()}).orientation, 1);
  }
}

TEST(DecodeImage, TakesNoMemoryForSizesThatAShortFileOnlyClaims) {
  std::string file = small_png("", "");
  file.replace(16, 8, number32(11000) + number32(11000));
  const std::string header = file.substr(12, 17);
  file.replace(29, 4, number32(crc32(0, reinterpret_cast<const Bytef*>(header.data()), 17)));
  EXPECT_EQ(
      status_within(
          64, [&] { decode_image({reinterpret_cast<const uint8_t*>(file.data()), file.size()}); }),
      2);
}

TEST(ImageFit, TakesMemoryForWhatIsShownOfThinPictures) {
  Pixels thin(1, 60000, 3), wide(60000, 1, 3);
  for (int64_t i = 0; i < 60000; ++i) *thin.at(0, i) = *wide.at(i, 0) = static_cast<uint8_t>(i);
  ImageFitOptions options;
  options.size = 256;
  options.resize = "shorter_side";
  EXPECT_EQ(status_within(64,
                          [&] {
                            fit_image(thin, 1, options);
                            fit_image(wide, 1, options);
                          }),
            0);
  options.resize = "stretch";
  options.size = 2048;  // 6 MB; all narrow rows together would be 370 MB
  EXPECT_EQ(status_within(100, [&] { fit_image(thin, 1, options); }), 0);
}

TEST(Resample, GivesAWindowAsIfTheWholeHadBeenCut) {
  const Pixels source = pixels_of("resize.source");
  for (const Filter filter :
       {Filter::kNearest, Filter::kBox, Filter::kBilinear, Filter::kBicubic, Filter::kLanczos})
    for (const auto& [width, height] :
         {std::pair<int64_t, int64_t>{9, 40}, {50, 7}, {source.width, 8}}) {
      const Pixels whole = resample(source, width, height, filter);
      const Pixels part = resample(source, Window{width, height, 2, 3, 5, 4}, filter);
      for (int64_t y = 0; y < 4; ++y)
        for (int64_t x = 0; x < 5; ++x)
          for (int64_t c = 0; c < 3; ++c) ASSERT_EQ(part.at(x, y)[c], whole.at(x + 2, y + 3)[c]);
    }
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
