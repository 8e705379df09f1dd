// How a picture of any size comes to have the dataset's size. The policy's name goes into
// dataset.json: FID depends on it (Parmar et al., CVPR 2022).
#pragma once

#include <cstdint>
#include <string>

#include "core/config/fields.h"
#include "data/images/pixels.h"
#include "data/images/resample.h"

namespace lockstep {

struct ImageFitOptions {
  int64_t size = 0;
  std::string resize = "stretch";
  std::string filter = "bilinear";
  int64_t channels = 3;
  std::string alpha = "drop";
  bool exif_orientation = true;

  void fields(FieldVisitor& visit) {
    visit("size", size, Range{0, 8192}, "pixels of a side; 0: as stored, all pictures of one size");
    visit("resize", resize, OneOf{{"stretch", "shorter_side", "box"}},
          "stretch: both sides to size, as torchvision's Resize((s, s)); shorter_side: that one to "
          "size, then the centre; box: fit in whole, black around it");
    visit("filter", filter, OneOf{{"nearest", "box", "bilinear", "bicubic", "lanczos"}},
          "antialiased, as Pillow's");
    visit("channels", channels, Range{1, 4}, "1 grey, 3 RGB, 4 RGBA");
    visit("alpha", alpha, OneOf{{"drop", "white", "black"}},
          "with less than 4 channels: ignored, or laid over a colour");
    visit("exif_orientation", exif_orientation, "turn pictures upright as their EXIF data say");
  }
};

// Throws ConfigError for 2 channels.
void check_fit(const ImageFitOptions& options);

// Orientation, channels, size. Any thread.
Pixels fit_image(Pixels image, int orientation, const ImageFitOptions& options);

}  // namespace lockstep
