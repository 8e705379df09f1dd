#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/errors.h"
#include "core/progress.h"
#include "data/images/picture_converter.h"

namespace lockstep {
namespace {

constexpr int64_t kPictureBytes = 3 * 32 * 32;
constexpr const char* kCifar10[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                    "dog",      "frog",       "horse", "ship", "truck"};

// CIFAR's binary files: records of label byte(s) and 3,072 bytes, red, green, blue, row by row
// (Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
// cs.toronto.edu/~kriz).
struct CifarFiles {
  std::vector<fs::path> train, test;
  int64_t label_bytes = 1;  // 2: CIFAR-100, coarse and fine
};

CifarFiles find_files(const fs::path& input) {
  CifarFiles files;
  if (fs::is_regular_file(input)) {
    const std::string name = input.filename().string();
    (name.starts_with("test") ? files.test : files.train).push_back(input);
    const auto size = static_cast<int64_t>(fs::file_size(input));
    files.label_bytes =
        name == "train.bin" || name == "test.bin" || size % (kPictureBytes + 1) != 0 ? 2 : 1;
    return files;
  }
  for (int i = 1; i <= 5; ++i)
    if (const fs::path path = input / fmt::format("data_batch_{}.bin", i); fs::exists(path))
      files.train.push_back(path);
  if (fs::exists(input / "test_batch.bin")) files.test.push_back(input / "test_batch.bin");
  if (files.train.empty() && files.test.empty()) {
    files.label_bytes = 2;
    if (fs::exists(input / "train.bin")) files.train.push_back(input / "train.bin");
    if (fs::exists(input / "test.bin")) files.test.push_back(input / "test.bin");
  }
  if (files.train.empty() && files.test.empty())
    throw DataError("there is neither data_batch_1.bin, test_batch.bin, train.bin nor test.bin",
                    "give the folder of CIFAR's binary version (cifar-10-batches-bin or "
                    "cifar-100-binary), unpacked",
                    {input.string()});
  return files;
}

class RecordReader {
 public:
  RecordReader(int64_t label_bytes, int64_t label_at, Progress& progress)
      : label_bytes_(label_bytes), label_at_(label_at), progress_(progress) {}

  void read(const fs::path& path, SplitShards& shards) {
    const int64_t record = label_bytes_ + kPictureBytes;
    const std::string bytes = read_file(path);
    const auto size = static_cast<int64_t>(bytes.size());
    if (size == 0 || size % record != 0)
      throw DataError(
          fmt::format("the file's {} bytes are no whole number of records of {}", size, record),
          "it is cut short, or no binary version of CIFAR", {path.string()});
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    const int64_t limit = label_bytes_ == 1 ? 10 : label_at_ == 0 ? 20 : 100;
    for (int64_t i = 0; i < size / record; ++i) {
      const uint8_t label = data[i * record + label_at_];
      if (label >= limit)
        throw DataError(fmt::format("record {} has label {}, not 0 to {}", i, label, limit - 1), "",
                        {path.string()});
      shards.add(data + i * record + label_bytes_, label);
      progress_.update(++done_);
    }
  }

 private:
  int64_t label_bytes_, label_at_;
  Progress& progress_;
  int64_t done_ = 0;
};

}  // namespace

Converted convert_cifar(const fs::path& input, const fs::path& folder,
                        const ConvertRecordsOptions& options, bool show_progress) {
  const CifarFiles files = find_files(input);
  const bool labeled = options.labels != "no", coarse = options.labels == "coarse";
  if (coarse && files.label_bytes == 1)
    throw ConfigError("CIFAR-10 has no coarse labels", "labels=fine or labels=no");
  const ImageShape shape{3, 32, 32};
  DatasetWriter writer(folder,
                       {"images", "lockstep data convert cifar", "", image_arrays(shape, labeled)},
                       options.overwrite);
  int64_t total = 0;
  for (const auto* part : {&files.train, &files.test})
    for (const fs::path& path : *part)
      total += static_cast<int64_t>(fs::file_size(path)) / (files.label_bytes + kPictureBytes);
  Progress progress("convert", total, "picture", show_progress);
  RecordReader reader(files.label_bytes, files.label_bytes == 2 && !coarse ? 1 : 0, progress);
  Converted converted;
  for (const bool train : {true, false}) {
    SplitShards shards(writer, shape, labeled, train ? "train" : "test", options.samples_per_shard,
                       train ? options.validation : 0);
    for (const fs::path& path : train ? files.train : files.test) reader.read(path, shards);
    shards.finish(input.string());
    converted.images += shards.images();
    converted.held_out += shards.held_out();
  }
  progress.finish();
  std::vector<std::string> classes;
  if (labeled && files.label_bytes == 1) classes.assign(std::begin(kCifar10), std::end(kCifar10));
  ConvertRecordsOptions printed = options;
  writer.set_recipe(conversion_recipe([&](FieldVisitor& visit) { printed.fields(visit); },
                                      input.string(), classes, 0));
  writer.finish();
  converted.class_names = classes;
  converted.classes = !labeled ? 0 : files.label_bytes == 1 ? 10 : coarse ? 20 : 100;
  return converted;
}

}  // namespace lockstep
