#include <algorithm>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/log.h"
#include "core/progress.h"
#include "data/gzip_input.h"
#include "data/images/decode_image.h"
#include "data/images/picture_converter.h"

namespace lockstep {
namespace {

// The idx format of MNIST (yann.lecun.com/exdb/mnist): magic {0, 0, 8 = u8, dimensions}, the sizes
// as 32-bit big-endian numbers, the bytes. They are read one item after the other, so memory
// follows an item and not what the header or a compressed file claims.
class IdxReader {
 public:
  IdxReader(const fs::path& path, int dimensions) : path_(path.string()), file_(path) {
    std::vector<uint8_t> head(4 + 4 * static_cast<size_t>(dimensions));
    const size_t got = fill(head.data(), head.size());
    if (got < 4) throw refuse("the file is too short for an idx header");
    if (head[0] != 0 || head[1] != 0 || head[2] != 8 || head[3] != dimensions)
      throw refuse(
          fmt::format("the file starts with {:02x}{:02x}{:02x}{:02x}, not with 000008{:02x}",
                      head[0], head[1], head[2], head[3], dimensions));
    if (got < head.size()) throw refuse("the file is too short for an idx header");
    for (size_t at = 4; at < head.size(); at += 4)
      sizes_.push_back(int64_t{head[at]} << 24 | head[at + 1] << 16 | head[at + 2] << 8 |
                       head[at + 3]);
    if (std::find(sizes_.begin(), sizes_.end(), 0) != sizes_.end())
      throw refuse("the header says that there is nothing");
    if (dimensions == 3) check_image_size(sizes_[2], sizes_[1]);
  }

  const std::vector<int64_t>& sizes() const { return sizes_; }

  // The next `count` bytes.
  void read(uint8_t* out, int64_t count) {
    taken_ += static_cast<int64_t>(fill(out, static_cast<size_t>(count)));
    wanted_ += count;
    if (taken_ != wanted_)
      throw refuse(fmt::format("the header announces {} bytes, the file has {}", total(), taken_));
  }
  // After the last item: nothing may follow.
  void finish() {
    uint8_t more;
    if (fill(&more, 1) != 0)
      throw refuse(fmt::format("the header announces {} bytes, the file has more", total()));
  }

 private:
  DataError refuse(const std::string& fact) const {
    return DataError(fact, "idx files of MNIST and its relatives are read, also as .gz", {path_});
  }
  int64_t total() const {
    return std::accumulate(sizes_.begin(), sizes_.end(), int64_t{1}, std::multiplies<>());
  }
  size_t fill(uint8_t* out, size_t count) {
    size_t filled = 0;
    while (filled < count) {
      const size_t got = file_.read(reinterpret_cast<char*>(out) + filled, count - filled);
      if (got == 0) break;
      filled += got;
    }
    return filled;
  }

  std::string path_;
  GzipInput file_;
  std::vector<int64_t> sizes_;
  int64_t taken_ = 0, wanted_ = 0;
};

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
  if (fs::exists(input) && !fs::is_directory(input)) {
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
    IdxReader images(part.images, 3);
    const ImageShape own{1, images.sizes()[1], images.sizes()[2]};
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
    std::optional<IdxReader> labels;
    if (labeled) labels.emplace(part.labels, 1);
    if (labeled && labels->sizes()[0] != images.sizes()[0])
      throw DataError(
          fmt::format("{} labels for {} pictures", labels->sizes()[0], images.sizes()[0]), "",
          {part.labels.string()});
    SplitShards shards(*writer, shape, labeled, part.prefix, options.samples_per_shard,
                       part.prefix == "train" ? options.validation : 0);
    Progress progress("convert " + part.prefix, images.sizes()[0], "picture", show_progress);
    std::vector<uint8_t> picture(static_cast<size_t>(shape.bytes()));
    for (int64_t i = 0; i < images.sizes()[0]; ++i) {
      uint8_t label = 0;
      if (labeled) labels->read(&label, 1);
      images.read(picture.data(), shape.bytes());
      classes = std::max<int64_t>(classes, label + 1);
      shards.add(picture.data(), label);
      progress.update(i + 1);
    }
    images.finish();
    if (labeled) labels->finish();
    progress.finish();
    shards.finish(part.images.string());
    converted.images += shards.images();
    converted.held_out += shards.held_out();
  }
  ConvertRecordsOptions printed = options;
  writer->set_recipe(conversion_recipe([&](FieldVisitor& visit) { printed.fields(visit); },
                                       input.string(), {}, 0));
  writer->finish();
  converted.classes = labeled ? classes : 0;
  return converted;
}

}  // namespace lockstep
