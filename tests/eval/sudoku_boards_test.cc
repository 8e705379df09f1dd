#include "eval/sudoku_boards.h"

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <png.h>

#include "core/errors.h"
#include "eval/dot_font.h"

namespace lockstep {
namespace {

DrawnBoard some_board() {
  DrawnBoard board;
  board.caption = "27 givens: 1 wrong";
  for (size_t cell = 0; cell < 81; ++cell) board.shown[cell] = uint8_t(1 + cell % 9);
  board.given[0] = 1;
  board.wrong[80] = true;
  return board;
}

bool has_color(const Picture& picture, Color color) {
  for (int y = 0; y < picture.height(); ++y)
    for (int x = 0; x < picture.width(); ++x)
      if (picture.at(x, y) == color) return true;
  return false;
}

constexpr Color kFilledInk = {29, 78, 216}, kWrongRed = {220, 38, 38}, kGivenGrey = {229, 231, 235};

TEST(SudokuBoards, GivenFilledAndWrongHaveColoursOfTheirOwn) {
  DrawnBoard board = some_board();
  const Picture picture = draw_sudoku_boards({{"hard", {board}}});
  EXPECT_TRUE(has_color(picture, kFilledInk));
  EXPECT_TRUE(has_color(picture, kWrongRed));
  EXPECT_TRUE(has_color(picture, kGivenGrey));
  board.wrong = {};
  EXPECT_FALSE(has_color(draw_sudoku_boards({{"hard", {board}}}), kWrongRed));
}

TEST(SudokuBoards, LinesUpGroupsWithoutCuttingThem) {
  const BoardGroup six{"six", std::vector<DrawnBoard>(6, some_board())}, one{"one", {some_board()}};
  const Picture narrow = draw_sudoku_boards({one}), wide = draw_sudoku_boards({six});
  EXPECT_GT(wide.width(), 3 * narrow.width());  // four columns
  EXPECT_GT(wide.height(), narrow.height() + 180);
  EXPECT_EQ(draw_sudoku_boards({{"empty", {}}}).height(), 50);
}

TEST(PngFile, ReadsBackAsWritten) {
  Picture picture(5, 3, {1, 2, 3});
  picture.fill(1, 1, 2, 1, {200, 100, 50});
  picture.fill(4, 2, 10, 10, {9, 9, 9});  // cut at the border
  const std::string path = ::testing::TempDir() + "/tiny.png";
  write_png(path, picture);
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  ASSERT_TRUE(png_image_begin_read_from_file(&image, path.c_str()));
  image.format = PNG_FORMAT_RGB;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(image));
  ASSERT_TRUE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr));
  ASSERT_EQ(image.width, 5u);
  ASSERT_EQ(image.height, 3u);
  for (int y = 0; y < 3; ++y)
    EXPECT_EQ(std::memcmp(&pixels[size_t(y) * 15], picture.row(y), 15), 0);
  EXPECT_EQ(picture.at(2, 1), (Color{200, 100, 50}));
  EXPECT_EQ(picture.at(3, 1), (Color{1, 2, 3}));
  EXPECT_EQ(picture.at(4, 2), (Color{9, 9, 9}));
}

TEST(PngFile, AnUnwritablePathIsAnEnvironmentError) {
  EXPECT_THROW(write_png("/no/such/folder/x.png", Picture(1, 1, {})), EnvironmentError);
}

TEST(DotFont, TellsDigitsApart) {
  for (char a = '0'; a <= '9'; ++a)
    for (char b = char(a + 1); b <= '9'; ++b) EXPECT_NE(dot_glyph(a), dot_glyph(b));
  EXPECT_EQ(dot_glyph('a'), dot_glyph('A'));
  EXPECT_EQ(dot_glyph('\x01'), DotGlyph{});
}

}  // namespace
}  // namespace lockstep
