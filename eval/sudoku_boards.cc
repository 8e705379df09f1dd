#include "eval/sudoku_boards.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr Color kPaper = {255, 255, 255}, kInk = {24, 24, 27}, kGivenPaper = {229, 231, 235},
                kFilled = {29, 78, 216}, kWrongPaper = {220, 38, 38}, kThin = {156, 163, 175},
                kQuiet = {82, 82, 91};
constexpr int kCell = 27, kBoard = 9 * kCell + 2, kMargin = 20, kCaption = 14, kHeading = 30,
              kDigitScale = 3;
constexpr int kBoardHeight = kBoard + kCaption + kMargin;

void draw_board(Picture& picture, int x, int y, const DrawnBoard& board) {
  for (int cell = 0; cell < kCells; ++cell) {
    const auto i = static_cast<size_t>(cell);
    const int left = x + cell % 9 * kCell, top = y + cell / 9 * kCell;
    const Color paper = board.wrong[i] ? kWrongPaper : board.given[i] != 0 ? kGivenPaper : kPaper;
    const Color ink = board.wrong[i] ? kPaper : board.given[i] != 0 ? kInk : kFilled;
    picture.fill(left, top, kCell, kCell, paper);
    if (board.shown[i] != 0) {
      const char digit = static_cast<char>('0' + board.shown[i]);
      picture.text(left + (kCell + 1 - Picture::text_width({&digit, 1}, kDigitScale)) / 2,
                   top + (kCell + 1 - Picture::kTextDots * kDigitScale) / 2, {&digit, 1},
                   kDigitScale, ink);
    }
  }
  for (int line = 0; line <= 9; ++line) {
    const bool thick = line % 3 == 0;
    const Color color = thick ? kInk : kThin;
    const int at = line * kCell, size = thick ? 2 : 1;
    picture.fill(x + at, y, size, kBoard, color);
    picture.fill(x, y + at, kBoard, size, color);
  }
  for (int line = 0; line <= 9; line += 3) {  // box borders over the thin lines
    picture.fill(x + line * kCell, y, 2, kBoard, kInk);
    picture.fill(x, y + line * kCell, kBoard, 2, kInk);
  }
  picture.text(x, y + kBoard + 4, board.caption, 1, kQuiet);
}

int lines(const BoardGroup& group, int columns) {
  return (static_cast<int>(group.boards.size()) + columns - 1) / columns;
}

}  // namespace

Picture draw_sudoku_boards(const std::vector<BoardGroup>& groups, int columns) {
  int height = kMargin, widest = 1;
  for (const BoardGroup& group : groups) {
    height += kHeading + lines(group, columns) * kBoardHeight;
    widest = std::max(widest, std::min(columns, static_cast<int>(group.boards.size())));
  }
  int width = kMargin + widest * (kBoard + kMargin);
  for (const BoardGroup& group : groups)
    width = std::max(width, 2 * kMargin + Picture::text_width(group.heading, 2));
  Picture picture(width, height, kPaper);
  int y = kMargin;
  for (const BoardGroup& group : groups) {
    picture.text(kMargin, y, group.heading, 2, kInk);
    y += kHeading;
    for (size_t i = 0; i < group.boards.size(); ++i) {
      const int column = static_cast<int>(i) % columns, line = static_cast<int>(i) / columns;
      draw_board(picture, kMargin + column * (kBoard + kMargin), y + line * kBoardHeight,
                 group.boards[i]);
    }
    y += lines(group, columns) * kBoardHeight;
  }
  return picture;
}

}  // namespace lockstep
