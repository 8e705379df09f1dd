#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>

#include <jpeglib.h>

#include <jerror.h>

#include "core/errors.h"
#include "data/images/decode_image.h"

namespace lockstep {
namespace {

// A progressive file may hold any number of scans, each costing a pass over the picture.
constexpr int kMaxScans = 500;

// libjpeg's error handler with the place to jump to; `base` must be first.
struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void give_up(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}

// libjpeg carries on after damage and fills the rest with grey. A warning that means lost pixels
// therefore ends decoding. All other warnings are about whole pictures: an unknown JFIF version,
// unusual scan parameters, a bad colour profile, extra bytes between segments.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // traces
  switch (info->err->msg_code) {
    case JWRN_ARITH_BAD_CODE:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
      give_up(info);
    case JWRN_JPEG_EOF: {
      // Without its end mark a file is whole if one scan holds every component and no earlier
      // warning said that its data ended too early. Another scan could be missing otherwise.
      const auto* cinfo = reinterpret_cast<j_decompress_ptr>(info);
      const bool one_scan = !cinfo->progressive_mode && cinfo->input_scan_number == 1 &&
                            cinfo->comps_in_scan == cinfo->num_components;
      if (!one_scan) give_up(info);
      return;
    }
    default:
      return;
  }
}

void no_output(j_common_ptr) {}

void watch_scans(j_common_ptr info) {
  auto* cinfo = reinterpret_cast<j_decompress_ptr>(info);
  if (cinfo->input_scan_number <= kMaxScans) return;
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  std::snprintf(errors->message, sizeof errors->message, "more than %d scans", kMaxScans);
  std::longjmp(errors->jump, 1);
}

// Ink to light. Writers follow Adobe and store inverted ink, so a stored byte is the light let
// through.
void cmyk_to_rgb(const uint8_t* in, int64_t count, uint8_t* out) {
  for (int64_t i = 0; i < count; ++i, in += 4, out += 3)
    for (int c = 0; c < 3; ++c) {
      const unsigned dark = (255u - in[c]) * in[3] + 128;  // ink · light, over 255
      out[c] = static_cast<uint8_t>(in[3] - ((dark + (dark >> 8)) >> 8));
    }
}

// libjpeg reports errors by a jump: everything with a destructor lives in this object, outside of
// the functions that are jumped out of.
class JpegDecoder {
 public:
  explicit JpegDecoder(std::span<const uint8_t> bytes) : bytes_(bytes) {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = give_up;
    errors_.base.emit_message = on_message;
    errors_.base.output_message = no_output;
    progress_.progress_monitor = watch_scans;
    if (setjmp(errors_.jump) != 0) fail();
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  DecodedImage decode() {
    if (!read_header()) fail();
    const int64_t width = info_.image_width, height = info_.image_height;
    check_image_size(width, height);
    // A Huffman code has at least one bit, and one code starts each block of 64 pixels. Chroma may
    // be sixteen times coarser, so a byte holds far below 2048 pixels.
    if (!info_.arith_code && width * height / 2048 > static_cast<int64_t>(bytes_.size()))
      throw DataError("the JPEG file is too short for its size of " + std::to_string(width) +
                      " x " + std::to_string(height) + " pixels");
    const int64_t stored = info_.out_color_components;
    DecodedImage out{Pixels(width, height, stored == 4 ? 3 : stored), orientation()};
    if (stored == 4) row_.resize(static_cast<size_t>(width * 4));
    if (!read_rows(out.pixels)) fail();
    return out;
  }

 private:
  bool read_header() {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_mem_src(&info_, bytes_.data(), bytes_.size());
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&info_, TRUE);
    // Anything with one component is grey, with four ink; all else libjpeg turns into RGB.
    info_.out_color_space = info_.num_components == 1   ? JCS_GRAYSCALE
                            : info_.num_components == 4 ? JCS_CMYK
                                                        : JCS_RGB;
    jpeg_calc_output_dimensions(&info_);
    return true;
  }

  bool read_rows(Pixels& pixels) {
    if (setjmp(errors_.jump) != 0) return false;
    jpeg_start_decompress(&info_);
    const bool ink = info_.output_components == 4;
    while (info_.output_scanline < info_.output_height) {
      uint8_t* target = pixels.at(0, info_.output_scanline);
      JSAMPROW row = ink ? row_.data() : target;
      jpeg_read_scanlines(&info_, &row, 1);
      if (ink) cmyk_to_rgb(row, pixels.width, target);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  int orientation() const {
    constexpr char kHead[] = "Exif\0";  // and one more zero byte
    for (const jpeg_marker_struct* marker = info_.marker_list; marker != nullptr;
         marker = marker->next)
      if (marker->marker == JPEG_APP0 + 1 && marker->data_length > 6 &&
          std::memcmp(marker->data, kHead, 6) == 0)
        return exif_orientation({marker->data + 6, marker->data_length - 6});
    return 1;
  }

  [[noreturn]] void fail() const {
    throw DataError(std::string("the JPEG file is damaged: ") + errors_.message);
  }

  std::span<const uint8_t> bytes_;
  JpegErrors errors_{};
  jpeg_progress_mgr progress_{};
  jpeg_decompress_struct info_{};
  std::vector<uint8_t> row_;
};

}  // namespace

DecodedImage decode_jpeg(std::span<const uint8_t> bytes) { return JpegDecoder(bytes).decode(); }

}  // namespace lockstep
