#include "data/images/decode_image.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "core/errors.h"

namespace lockstep {
namespace {

bool starts_with(std::span<const uint8_t> bytes, std::string_view magic, size_t offset = 0) {
  return bytes.size() >= offset + magic.size() &&
         std::equal(magic.begin(), magic.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset),
                    [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; });
}

// Formats that people have and this program does not read, by their first bytes.
std::string known_as(std::span<const uint8_t> bytes) {
  if (starts_with(bytes, "GIF8")) return "GIF";
  if (starts_with(bytes, "BM")) return "BMP";
  if (starts_with(bytes, "II*") || starts_with(bytes, std::string_view("MM\0*", 4))) return "TIFF";
  if (starts_with(bytes, "RIFF") && starts_with(bytes, "WEBP", 8)) return "WebP";
  if (starts_with(bytes, "ftyp", 4)) return "HEIF or AVIF";
  if (starts_with(bytes, std::string_view("\0\0\0\x0cjP", 6))) return "JPEG 2000";
  return "";
}

// Reads numbers of a TIFF structure in its own byte order; outside of it everything is 0.
class TiffReader {
 public:
  TiffReader(std::span<const uint8_t> bytes, bool little) : bytes_(bytes), little_(little) {}
  uint32_t u8(size_t at) const { return number(at, 1); }
  uint32_t u16(size_t at) const { return number(at, 2); }
  uint32_t u32(size_t at) const { return number(at, 4); }

 private:
  uint32_t number(size_t at, size_t count) const {
    if (at > bytes_.size() || count > bytes_.size() - at) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i)
      value = value << 8 | bytes_[little_ ? at + count - 1 - i : at + i];
    return value;
  }
  std::span<const uint8_t> bytes_;
  bool little_;
};

}  // namespace

int exif_orientation(std::span<const uint8_t> tiff) {
  const bool little = starts_with(tiff, "II");
  if (!little && !starts_with(tiff, "MM")) return 1;
  const TiffReader reader(tiff, little);
  if (reader.u16(2) != 42) return 1;
  const size_t directory = reader.u32(4);
  const uint32_t entries = reader.u16(directory);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + size_t{12} * i;
    if (reader.u16(entry) != 0x0112) continue;
    // The standard's type is SHORT (3); some cameras and programs write BYTE (1) or LONG (4).
    const uint32_t type = reader.u16(entry + 2);
    const uint32_t value = type == 1   ? reader.u8(entry + 8)
                           : type == 3 ? reader.u16(entry + 8)
                           : type == 4 ? reader.u32(entry + 8)
                                       : 1;
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

void check_image_size(int64_t width, int64_t height) {
  if (width < 1 || height < 1) throw DataError("the picture has no pixels");
  if (width > kMaxSide || height > kMaxSide || width > kMaxPixels / height)
    throw DataError(
        "the picture has " + std::to_string(width) + " x " + std::to_string(height) + " pixels",
        "pictures of up to 2^27 pixels and 65500 a side are decoded; make it smaller first");
}

DecodedImage decode_image(std::span<const uint8_t> bytes) {
  if (bytes.empty()) throw DataError("the file is empty");
  if (starts_with(bytes, "\x89PNG")) return decode_png(bytes);
  if (starts_with(bytes, "\xff\xd8")) return decode_jpeg(bytes);
  const std::string format = known_as(bytes);
  throw DataError(format.empty() ? "the file is neither PNG nor JPEG"
                                 : "the file is " + format + ", not PNG or JPEG",
                  "convert it to PNG first");
}

}  // namespace lockstep
