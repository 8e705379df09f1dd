#include <algorithm>
#include <cctype>
#include <csetjmp>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <png.h>

#include "core/errors.h"
#include "data/images/decode_image.h"

namespace lockstep {
namespace {

// What libpng's callbacks share with the decoder: where it reads and what went wrong.
struct PngState {
  std::span<const uint8_t> bytes;
  size_t position = 0;
  char message[200] = "";
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* state = static_cast<PngState*>(png_get_error_ptr(png));
  std::strncpy(state->message, message, sizeof state->message - 1);
  png_longjmp(png, 1);
}

// Warnings concern ancillary chunks; the picture is whole.
void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep out, size_t count) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  if (count > state->bytes.size() - state->position) png_error(png, "the file ends too early");
  std::memcpy(out, state->bytes.data() + state->position, count);
  state->position += count;
}

// The bytes of a "raw profile": a line with its type, a line with the number of bytes, then
// hexadecimal digits in lines. What is not like that gives no bytes.
std::vector<uint8_t> raw_profile(std::string_view text) {
  const auto skip_space = [&] {
    const size_t next = text.find_first_not_of(" \n\r\t");
    text.remove_prefix(next == std::string_view::npos ? text.size() : next);
  };
  for (int words = 0; words < 2; ++words) {
    skip_space();
    text.remove_prefix(std::min(text.find_first_of(" \n\r\t"), text.size()));
  }
  std::vector<uint8_t> bytes;
  int high = -1;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c))) continue;
    if (!std::isxdigit(static_cast<unsigned char>(c))) return {};
    const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    if (high >= 0) bytes.push_back(static_cast<uint8_t>(high << 4 | digit));
    high = high >= 0 ? -1 : digit;
  }
  return bytes;
}

// libpng reports errors by a jump: everything with a destructor lives in this object, outside of
// the functions that are jumped out of.
class PngDecoder {
 public:
  explicit PngDecoder(std::span<const uint8_t> bytes) {
    state_.bytes = bytes;
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state_, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) throw EnvironmentError("libpng has no memory");
    png_set_read_fn(png_, &state_, on_read);
    png_set_user_limits(png_, kMaxSide, kMaxSide);
    png_set_chunk_cache_max(png_, 256);
    png_set_chunk_malloc_max(png_, 8 << 20);
  }
  ~PngDecoder() { png_destroy_read_struct(&png_, info_ == nullptr ? nullptr : &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  DecodedImage decode() {
    if (!read_header()) fail();
    check_image_size(width_, height_);
    // Deflate packs at most 1032 to 1, so a short file cannot make the program take much memory.
    if (width_ * height_ / 1100 > int64_t{8} * static_cast<int64_t>(state_.bytes.size()))
      throw DataError("the PNG file is too short for its size of " + std::to_string(width_) +
                      " x " + std::to_string(height_) + " pixels");
    DecodedImage out{Pixels(width_, height_, channels_)};
    rows_.resize(static_cast<size_t>(height_));
    for (int64_t y = 0; y < height_; ++y) rows_[static_cast<size_t>(y)] = out.pixels.at(0, y);
    if (!read_rows()) fail();
    out.orientation = orientation();  // EXIF data may stand behind the pixels
    return out;
  }

 private:
  bool read_header() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_info(png_, info_);
    width_ = png_get_image_width(png_, info_);
    height_ = png_get_image_height(png_, info_);
    png_set_expand(png_);  // palette to RGB, few bits to 8, tRNS to alpha
    png_set_scale_16(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    channels_ = png_get_channels(png_, info_);
    if (png_get_rowbytes(png_, info_) != static_cast<size_t>(width_ * channels_))
      png_error(png_, "rows of an unknown layout");
    return true;
  }

  bool read_rows() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_image(png_, rows_.data());
    png_read_end(png_, info_);
    return true;
  }

  // From an eXIf chunk, else from the text chunk in which ImageMagick and older programs keep EXIF.
  int orientation() {
#ifdef PNG_eXIf_SUPPORTED
    png_bytep exif = nullptr;
    png_uint_32 size = 0;
    if (png_get_eXIf_1(png_, info_, &size, &exif) != 0 && exif != nullptr)
      return exif_orientation({exif, size});
#endif
    png_textp texts = nullptr;
    const int count = png_get_text(png_, info_, &texts, nullptr);
    for (int i = 0; i < count; ++i) {
      const std::string_view key(texts[i].key);
      if ((key != "Raw profile type exif" && key != "Raw profile type APP1") ||
          texts[i].text == nullptr)
        continue;
      const std::vector<uint8_t> profile = raw_profile(texts[i].text);
      const size_t head =
          profile.size() > 6 && std::memcmp(profile.data(), "Exif\0", 6) == 0 ? 6 : 0;
      if (const int found = exif_orientation({profile.data() + head, profile.size() - head});
          found > 1)
        return found;
    }
    return 1;
  }

  [[noreturn]] void fail() const {
    throw DataError(std::string("the PNG file is damaged: ") + state_.message);
  }

  PngState state_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int64_t width_ = 0, height_ = 0, channels_ = 0;
  std::vector<png_bytep> rows_;
};

}  // namespace

DecodedImage decode_png(std::span<const uint8_t> bytes) { return PngDecoder(bytes).decode(); }

}  // namespace lockstep
