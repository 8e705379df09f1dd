// Letters of 5 × 7 dots, for words and numbers in pictures.
#pragma once

#include <array>
#include <cstdint>

namespace lockstep {

// Seven rows from the top, five bits each, the highest on the left.
using DotGlyph = std::array<uint8_t, 7>;

// Digits, letters (small ones are shown as capitals) and ". , : - % / ( ) +"; blank for the rest.
DotGlyph dot_glyph(char c);

}  // namespace lockstep
