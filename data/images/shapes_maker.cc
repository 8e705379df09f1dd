#include <algorithm>

#include <fmt/format.h>

#include "core/config/config_node.h"
#include "core/progress.h"
#include "data/images/image_commands.h"
#include "data/images/image_shards.h"
#include "data/images/shapes.h"
#include "data/parallel_for.h"

namespace lockstep {
namespace {

constexpr int64_t kPicturesAtOnce = 2048;  // pictures drawn at a time

ShapeRange shape_range(const MakeShapesOptions& options) {
  if (options.kinds.empty()) throw ConfigError("kinds is empty", "name at least one: [circle]");
  if (options.smallest_radius > options.largest_radius)
    throw ConfigError(fmt::format("smallest_radius is {} and largest_radius {}",
                                  options.smallest_radius, options.largest_radius),
                      "the smallest cannot be above the largest");
  ShapeRange range{{},
                   options.smallest_radius,
                   options.largest_radius,
                   options.largest_turn,
                   options.colors == "any"};
  for (const std::string& name : options.kinds)
    range.kinds.push_back(static_cast<int>(
        std::find(std::begin(kShapeNames), std::end(kShapeNames), name) - std::begin(kShapeNames)));
  return range;
}

// Pictures [first, last) of the stream into one set of shards.
void add_pictures(ImageShardWriter& shards, const Stream& stream, int64_t first, int64_t last,
                  const MakeShapesOptions& options, Progress& progress) {
  const ShapeRange range = shape_range(options);
  const int64_t bytes = options.channels * options.image_size * options.image_size;
  for (int64_t start = first; start < last; start += kPicturesAtOnce) {
    const int64_t count = std::min(kPicturesAtOnce, last - start);
    std::vector<uint8_t> pixels(static_cast<size_t>(count * bytes));
    std::vector<int> labels(static_cast<size_t>(count));
    parallel_for(0, count, num_threads(options.threads), [&](int64_t i) {
      labels[static_cast<size_t>(i)] =
          draw_shape(stream, static_cast<uint64_t>(start + i), range, options.image_size,
                     options.channels, &pixels[static_cast<size_t>(i * bytes)]);
    });
    for (int64_t i = 0; i < count; ++i)
      shards.add(&pixels[static_cast<size_t>(i * bytes)], labels[static_cast<size_t>(i)]);
    progress.update(start + count);
  }
  shards.finish();
}

}  // namespace

bool make_shapes(const std::filesystem::path& folder, const MakeShapesOptions& options,
                 bool show_progress) {
  if (options.channels == 2) throw ConfigError("channels is 2", "3: colours, 1: grey levels");
  shape_range(options);  // refuses what does not fit before anything is written
  MakeShapesOptions printed = options;
  const std::string recipe =
      print_json([&](FieldVisitor& visit) { printed.fields(visit); }, {"threads", "overwrite"});
  if (!options.overwrite && DatasetWriter::is_made(folder, recipe)) return false;
  const ImageShape shape{options.channels, options.image_size, options.image_size};
  DatasetWriter writer(folder,
                       {"images", "lockstep data make shapes", recipe, image_arrays(shape, true)},
                       options.overwrite);
  const Stream stream(static_cast<uint64_t>(options.seed), Purpose::kDataMaking);
  const int64_t total = options.train_images + options.validation_images;
  Progress progress("shapes", total, "picture", show_progress);
  ImageShardWriter train(writer, shape, true, "train", options.samples_per_shard);
  add_pictures(train, stream, 0, options.train_images, options, progress);
  ImageShardWriter validation(writer, shape, true, "validation", options.samples_per_shard,
                              /*one_file=*/true);
  add_pictures(validation, stream, options.train_images, total, options, progress);
  progress.finish();
  writer.finish();
  return true;
}

}  // namespace lockstep
