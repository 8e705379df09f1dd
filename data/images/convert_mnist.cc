#include <algorithm>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/log.h"
#include "core/progress.h"
#include "data/gzip_file.h"
#include "data/images/picture_converter.h"

namespace lockstep {
namespace {

// The idx format of MNIST (yann.lecun.com/exdb/mnist): magic {0, 0, 8 = u8, dimensions}, the sizes
// as 32-bit big-endian numbers, the bytes.
struct Idx {
  std::vector<int64_t> sizes;
  std::string content;
  size_t begin = 0;
  const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(content.data()) + begin; }
};

Idx read_idx(const fs::path& path, int dimensions) {
  const auto refuse = [&](const std::string& fact) {
    return DataError(fact, "idx files of MNIST and its relatives are read, also as .gz",
                     {path.string()});
  };
  Idx idx;
  idx.content = read_maybe_gzip(path);
  idx.begin = 4 + 4 * static_cast<size_t>(dimensions);
  const auto* head = reinterpret_cast<const uint8_t*>(idx.content.data());
  if (idx.content.size() < 4) throw refuse("the file is too short for an idx header");
  if (head[0] != 0 || head[1] != 0 || head[2] != 8 || head[3] != dimensions)
    throw refuse(fmt::format("the file starts with {:02x}{:02x}{:02x}{:02x}, not with 000008{:02x}",
                             head[0], head[1], head[2], head[3], dimensions));
  if (idx.content.size() < idx.begin) throw refuse("the file is too short for an idx header");
  uint64_t total = 1;
  for (int d = 0; d < dimensions; ++d) {
    const uint8_t* at = head + 4 + 4 * d;
    const uint64_t size =
        uint64_t{at[0]} << 24 | uint64_t{at[1]} << 16 | uint64_t{at[2]} << 8 | at[3];
    if (size == 0 || size > idx.content.size() || total > idx.content.size() / size)
      throw refuse("the header's sizes do not fit the file");
    total *= size;
    idx.sizes.push_back(static_cast<int64_t>(size));
  }
  if (total != idx.content.size() - idx.begin)
    throw refuse(fmt::format("the header announces {} bytes, the file has {}", total,
                             idx.content.size() - idx.begin));
  return idx;
}

struct MnistPart {
  std::string prefix;
  fs::path images, labels;  // labels: empty if there are none
};

// `path`, or with .gz behind it, or empty.
fs::path either(const fs::path& path) {
  if (fs::exists(path)) return path;
  const fs::path zipped = path.string() + ".gz";
  return fs::exists(zipped) ? zipped : fs::path();
}

std::vector<MnistPart> find_parts(const fs::path& input) {
  std::vector<MnistPart> parts;
  if (fs::is_regular_file(input)) {
    std::string name = input.filename().string();
    const size_t at = name.find("images-idx3");
    fs::path labels;
    if (at != std::string::npos) {
      name.replace(at, 11, "labels-idx1");
      labels = input.parent_path() / name;
    }
    return {{"train", input, !labels.empty() && fs::exists(labels) ? labels : fs::path()}};
  }
  for (const auto& [name, prefix] : {std::pair{"train", "train"}, std::pair{"t10k", "test"}}) {
    const fs::path images = either(input / fmt::format("{}-images-idx3-ubyte", name));
    if (!images.empty())
      parts.push_back({prefix, images, either(input / fmt::format("{}-labels-idx1-ubyte", name))});
  }
  if (parts.empty())
    throw DataError(
        "there is neither train-images-idx3-ubyte nor t10k-images-idx3-ubyte (also as .gz)",
        "give the folder of the idx files, or one images file", {input.string()});
  return parts;
}

}  // namespace

Converted convert_mnist(const fs::path& input, const fs::path& folder,
                        const ConvertRecordsOptions& options, bool show_progress) {
  if (options.labels == "coarse")
    throw ConfigError("MNIST has no coarse labels", "labels=fine or labels=no");
  const std::vector<MnistPart> parts = find_parts(input);
  const bool labeled = options.labels != "no" &&
                       std::all_of(parts.begin(), parts.end(),
                                   [](const MnistPart& part) { return !part.labels.empty(); });
  if (!labeled && options.labels != "no")
    log_warning("a labels file is missing, so there are no labels");
  std::unique_ptr<DatasetWriter> writer;
  ImageShape shape;
  Converted converted;
  int64_t classes = 0;
  for (const MnistPart& part : parts) {
    const Idx images = read_idx(part.images, 3);
    const ImageShape own{1, images.sizes[1], images.sizes[2]};
    if (!writer) {
      shape = own;
      writer = std::make_unique<DatasetWriter>(
          folder,
          DatasetPlan{"images", "lockstep data convert mnist", "", image_arrays(shape, labeled)},
          options.overwrite);
    }
    if (own != shape)
      throw DataError(fmt::format("pictures of {} x {}, the others have {} x {}", own.width,
                                  own.height, shape.width, shape.height),
                      "", {part.images.string()});
    Idx labels;
    if (labeled) labels = read_idx(part.labels, 1);
    if (labeled && labels.sizes[0] != images.sizes[0])
      throw DataError(fmt::format("{} labels for {} pictures", labels.sizes[0], images.sizes[0]),
                      "", {part.labels.string()});
    ImageShardWriter shards(*writer, shape, labeled, part.prefix, options.samples_per_shard);
    Progress progress("convert " + part.prefix, images.sizes[0], "picture", show_progress);
    for (int64_t i = 0; i < images.sizes[0]; ++i) {
      const int64_t label = labeled ? labels.bytes()[i] : 0;
      classes = std::max(classes, label + 1);
      shards.add(images.bytes() + i * shape.bytes(), label);
      progress.update(i + 1);
    }
    progress.finish();
    converted.images += shards.finish();
  }
  ConvertRecordsOptions printed = options;
  writer->set_recipe(conversion_recipe([&](FieldVisitor& visit) { printed.fields(visit); },
                                       input.string(), {}, 0));
  writer->finish();
  converted.classes = labeled ? classes : 0;
  return converted;
}

}  // namespace lockstep
