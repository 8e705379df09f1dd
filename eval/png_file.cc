#include "eval/png_file.h"

#include <algorithm>
#include <cerrno>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>

#include <png.h>

#include "core/errors.h"
#include "eval/dot_font.h"

namespace lockstep {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

[[noreturn]] void fail(const std::string& path, const std::string& why) {
  throw EnvironmentError("cannot write a picture: " + why,
                         "is there room, and may the folder be written?", {path, 0, 0, ""});
}

// libpng reports errors by a jump to here; no object with a destructor lives between.
bool write_rows(std::FILE* file, const Picture& picture) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr || setjmp(png_jmpbuf(png)) != 0) {
    png_destroy_write_struct(&png, &info);
    return false;
  }
  png_init_io(png, file);
  png_set_IHDR(png, info, static_cast<png_uint_32>(picture.width()),
               static_cast<png_uint_32>(picture.height()), 8, PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int y = 0; y < picture.height(); ++y)
    png_write_row(png, const_cast<png_bytep>(picture.row(y)));
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return true;
}

}  // namespace

Picture::Picture(int width, int height, Color background)
    : width_(width),
      height_(height),
      pixels_(static_cast<size_t>(width) * static_cast<size_t>(height) * 3) {
  fill(0, 0, width, height, background);
}

void Picture::fill(int x, int y, int width, int height, Color color) {
  const int left = std::max(x, 0), right = std::min(x + width, width_);
  for (int row = std::max(y, 0); row < std::min(y + height, height_); ++row)
    for (int column = left; column < right; ++column)
      std::memcpy(&pixels_[(static_cast<size_t>(row) * static_cast<size_t>(width_) +
                            static_cast<size_t>(column)) *
                           3],
                  color.data(), 3);
}

void Picture::text(int x, int y, std::string_view words, int scale, Color color) {
  for (char c : words) {
    const DotGlyph glyph = dot_glyph(c);
    for (int dot_y = 0; dot_y < 7; ++dot_y)
      for (int dot_x = 0; dot_x < 5; ++dot_x)
        if (glyph[static_cast<size_t>(dot_y)] >> (4 - dot_x) & 1)
          fill(x + dot_x * scale, y + dot_y * scale, scale, scale, color);
    x += 6 * scale;
  }
}

void write_png(const std::string& path, const Picture& picture) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "wb"));
  if (file == nullptr) fail(path, std::strerror(errno));
  if (!write_rows(file.get(), picture)) fail(path, "libpng failed");
  if (std::fflush(file.get()) != 0 || std::ferror(file.get()) != 0)
    fail(path, std::strerror(errno));
}

}  // namespace lockstep
