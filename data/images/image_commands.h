// What `lockstep data make shapes` and `lockstep data convert` of pictures do, without the command
// line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "core/config/fields.h"
#include "data/images/image_fit.h"
#include "data/images/shapes.h"
#include "data/validation_split.h"

namespace lockstep {

struct MakeShapesOptions {
  int64_t train_images = 10000;
  int64_t validation_images = 2000;
  int64_t image_size = 32;
  int64_t channels = 3;
  std::vector<std::string> kinds{std::begin(kShapeNames), std::end(kShapeNames)};
  double smallest_radius = 0.2;
  double largest_radius = 0.36;
  double largest_turn = 0.4;
  std::string colors = "any";
  int64_t samples_per_shard = 20000;
  int64_t seed = 1;
  int64_t threads = 0;
  bool overwrite = false;

  void fields(FieldVisitor& visit) {
    visit("train_images", train_images, Range{1, 100e6}, "pictures for training");
    visit("validation_images", validation_images, Range{1, 100e6}, "held-out pictures");
    visit("image_size", image_size, Range{8, 256}, "pixels; pictures are square");
    visit("channels", channels, Range{1, 3}, "3: colours, 1: grey levels");
    visit("kinds", kinds, OneOf{{std::begin(kShapeNames), std::end(kShapeNames)}},
          "shapes to draw; labels stay those of the whole list");
    visit("smallest_radius", smallest_radius, Range{0.05, 0.5},
          "of a shape, as a share of the picture's side");
    visit("largest_radius", largest_radius, Range{0.05, 0.5},
          "of a shape, as a share of the picture's side");
    visit("largest_turn", largest_turn, Range{0, 3.1416},
          "of a shape to either side, in radians; 0: upright");
    visit("colors", colors, OneOf{{"any", "few"}},
          "any: vivid on pale or dark; few: one of six on black or white");
    visit("samples_per_shard", samples_per_shard, Range{1, 10e6});
    visit("seed", seed, Range{0, 9.007e15}, "same seed, same pictures, for any number of threads");
    visit("threads", threads, Range{0, 1024}, "0: all cores");
    visit("overwrite", overwrite, "replace a dataset that is in the folder");
  }
};

// Makes FOLDER/train-00000.h5 … and FOLDER/validation.h5 of kind `images`: one shape in a vivid
// colour on a plain background each, its kind as label (data/images/shapes.h). If the folder holds
// data of the same options already, returns at once (false). Throws ConfigError, DataError if the
// folder holds something else, EnvironmentError.
bool make_shapes(const std::filesystem::path& folder, const MakeShapesOptions& options,
                 bool show_progress);

// What all converters of pictures have in common.
struct ShardOptions {
  std::string prefix = "train";
  double validation = 0;
  int64_t samples_per_shard = 20000;
  int64_t threads = 0;
  bool skip_broken = false;
  bool overwrite = false;

  void fields(FieldVisitor& visit) {
    visit("prefix", prefix,
          "shards are called PREFIX-00000.h5 …; those of another prefix are added to a dataset");
    visit("validation", validation, Range{0, 0.9}, kHeldOutDoc);
    visit("samples_per_shard", samples_per_shard, Range{1, 10e6},
          "at most; a shard also ends at 1 GiB");
    visit("threads", threads, Range{0, 1024}, "that decode; 0: all cores");
    visit("skip_broken", skip_broken,
          "leave out files that cannot be decoded, and say how many (also --skip-broken)");
    visit("overwrite", overwrite, "replace a dataset that is in the folder");
  }
};

struct ConvertPicturesOptions {
  ImageFitOptions fit;
  std::string labels = "auto";
  ShardOptions shards;

  void fields(FieldVisitor& visit) {
    fit.fields(visit);
    visit(
        "labels", labels, OneOf{{"auto", "yes", "no"}},
        "folders: names of sub-folders, sorted; WebDataset: .cls members; auto: if there are any");
    shards.fields(visit);
  }
};

// What a conversion did.
struct Converted {
  int64_t images = 0;
  int64_t held_out = 0;                  // of them, in validation-*.h5
  int64_t skipped = 0;                   // broken, left out
  int64_t classes = 0;                   // 0: no labels
  std::vector<std::string> class_names;  // by label; empty if they have none
};

// Pictures below folder `input` in the order of their paths; links are followed
// (data/images/image_files.h). With labels each picture's class is the first folder of its path.
// Shards that are added to a dataset take its class numbers. Throws DataError naming the first file
// that cannot be decoded; then nothing is written.
Converted convert_image_folder(const std::filesystem::path& input,
                               const std::filesystem::path& folder,
                               const ConvertPicturesOptions& options, bool show_progress);

// WebDataset shards: `input` is a tar file, a folder of them, or a pattern such as
// `data-{000000..000012}.tar`. The members of a sample have one path up to the first dot of its
// last component; behind the last dot .png, .jpg and .jpeg are pictures, .cls a class number.
// Members of a sample may stand apart, and links to members are followed; what is not used is
// counted in a warning.
Converted convert_webdataset(const std::string& input, const std::filesystem::path& folder,
                             const ConvertPicturesOptions& options, bool show_progress);

struct ConvertRecordsOptions {
  int64_t samples_per_shard = 20000;
  double validation = 0;
  std::string labels = "fine";
  bool overwrite = false;

  void fields(FieldVisitor& visit) {
    visit("samples_per_shard", samples_per_shard, Range{1, 10e6});
    visit("validation", validation, Range{0, 0.9},
          "of the training pictures: the share that goes to validation-00000.h5 … instead");
    visit("labels", labels, OneOf{{"fine", "coarse", "no"}},
          "CIFAR-100 has two kinds of labels; others: fine or no");
    visit("overwrite", overwrite, "replace a dataset that is in the folder");
  }
};

// CIFAR-10 or CIFAR-100 in their binary version: `input` is the unpacked folder (or one .bin file).
// data_batch_*.bin and train.bin become train-00000.h5 …, test_batch.bin and test.bin test-00000.h5
// ….
Converted convert_cifar(const std::filesystem::path& input, const std::filesystem::path& folder,
                        const ConvertRecordsOptions& options, bool show_progress);

// MNIST and its relatives (Fashion-MNIST, KMNIST, EMNIST): `input` is a folder with
// train-images-idx3-ubyte, train-labels-idx1-ubyte and t10k-…, each also as .gz, or one images
// file.
Converted convert_mnist(const std::filesystem::path& input, const std::filesystem::path& folder,
                        const ConvertRecordsOptions& options, bool show_progress);

}  // namespace lockstep
