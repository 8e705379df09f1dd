// Pictures as PNG files.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

using Color = std::array<uint8_t, 3>;  // red, green, blue

// A picture of 8-bit colours, rows from the top.
class Picture {
 public:
  Picture(int width, int height, Color background);
  int width() const { return width_; }
  int height() const { return height_; }
  // Outside of the picture nothing is drawn.
  void fill(int x, int y, int width, int height, Color color);
  // Text in capitals, digits and a few signs, 5 × 7 dots of `scale` pixels, 6 dots a character;
  // (x, y) is the top left corner. Characters without a picture stay blank.
  void text(int x, int y, std::string_view words, int scale, Color color);
  static int text_width(std::string_view words, int scale) {
    return words.empty() ? 0 : (static_cast<int>(words.size()) * 6 - 1) * scale;
  }
  static constexpr int kTextDots = 7;
  const uint8_t* row(int y) const {
    return pixels_.data() + static_cast<size_t>(y) * static_cast<size_t>(width_) * 3;
  }
  Color at(int x, int y) const { return {row(y)[x * 3], row(y)[x * 3 + 1], row(y)[x * 3 + 2]}; }

 private:
  int width_, height_;
  std::vector<uint8_t> pixels_;
};

// Throws EnvironmentError if the file cannot be written. Not atomic: callers rename.
void write_png(const std::string& path, const Picture& picture);

}  // namespace lockstep
