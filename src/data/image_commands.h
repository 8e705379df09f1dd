// What `lockstep data make shapes` and `lockstep data convert` of pictures do, without the command line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/fields.h"

namespace lockstep {

struct MakeShapesOptions {
  int64_t train_images = 10000;
  int64_t validation_images = 2000;
  int64_t image_size = 32;
  int64_t channels = 3;
  int64_t samples_per_shard = 20000;
  int64_t seed = 1;
  int64_t threads = 0;
  bool overwrite = false;

  void fields(FieldVisitor& visit) {
    visit("train_images", train_images, Range{1, 100e6}, "pictures for training");
    visit("validation_images", validation_images, Range{1, 100e6}, "held-out pictures");
    visit("image_size", image_size, Range{8, 256}, "pixels; pictures are square");
    visit("channels", channels, Range{1, 3}, "3: colours, 1: grey levels");
    visit("samples_per_shard", samples_per_shard, Range{1, 10e6});
    visit("seed", seed, Range{0, 9.007e15}, "same seed, same pictures, for any number of threads");
    visit("threads", threads, Range{0, 1024}, "0: all cores");
    visit("overwrite", overwrite, "replace a dataset that is in the folder");
  }
};

// Makes FOLDER/train-00000.h5 … and FOLDER/validation.h5 of kind `images`: one shape in a vivid colour
// on a plain background each, its kind as label (data/shapes.h). If the folder holds data of the same
// options already, returns at once (false). Throws ConfigError, DataError if the folder holds
// something else, EnvironmentError.
bool make_shapes(const std::filesystem::path& folder, const MakeShapesOptions& options, bool show_progress);

}  // namespace lockstep
