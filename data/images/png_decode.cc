#include <csetjmp>
#include <cstring>
#include <string>

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
    DecodedImage out{Pixels(width_, height_, channels_), orientation()};
    rows_.resize(static_cast<size_t>(height_));
    for (int64_t y = 0; y < height_; ++y) rows_[static_cast<size_t>(y)] = out.pixels.at(0, y);
    if (!read_rows()) fail();
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

  int orientation() {
#ifdef PNG_eXIf_SUPPORTED
    png_bytep exif = nullptr;
    png_uint_32 size = 0;
    if (png_get_eXIf_1(png_, info_, &size, &exif) != 0 && exif != nullptr)
      return exif_orientation({exif, size});
#endif
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
