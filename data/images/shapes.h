// Pictures that a small network learns in minutes: one coloured shape on a plain background.
//
// Everything about picture i is decided by Philox (kDataMaking, id i): shape, place, size, turn and
// two colours. Edges are smoothed by 4 × 4 samples a pixel. Few things vary, so that one sees at
// once whether samples of a model look like the data, yet the pictures fill a space that cannot be
// learnt by heart.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/philox.h"

namespace lockstep {

inline constexpr std::string_view kShapeNames[] = {"circle", "square", "triangle",    "ring",
                                                   "cross",  "star",   "half_circle", "heart"};
inline constexpr int kNumShapes = 8;

// What varies from picture to picture.
struct ShapeRange {
  std::vector<int> kinds = {0, 1, 2, 3, 4, 5, 6, 7};  // numbers of kShapeNames
  double smallest = 0.2, largest = 0.36;              // radius as a share of the picture's side
  double turn = 0.4;                                  // at most, in radians to either side
  bool any_colors = true;                             // false: one of six on black or white
};

// Draws picture `id` as [channels, size, size] bytes, channel after channel; `channels` is 3, or 1
// for grey levels (ITU-R 601 luma). Returns the shape's number in kShapeNames. Any thread.
int draw_shape(const Stream& stream, uint64_t id, const ShapeRange& range, int64_t size,
               int64_t channels, uint8_t* out);

}  // namespace lockstep
