#include "eval/image_source.h"

#include <cstring>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"
#include "core/user_path.h"
#include "data/datasets.h"
#include "data/images/decode_image.h"
#include "data/images/image_files.h"

namespace lockstep {
namespace {

class FolderImages final : public ImageSource {
 public:
  // A score over a part of the pictures is another score: what looks like a picture and cannot be
  // read is an error, unless the caller asked to leave it out.
  FolderImages(const std::string& path, bool skip_unread) : files_(find_image_files(path)) {
    if (files_.left_out.empty()) return;
    if (files_.left_out.pictures() > 0 && !skip_unread)
      throw DataError(
          fmt::format("{} pictures below the folder are read and these are not: {}",
                      files_.paths.size(), files_.left_out.text(/*pictures_only=*/true)),
          "convert them to PNG or take them away; `lockstep fid --skip-unread` scores the others",
          {path});
    log_warning(fmt::format("left out of {}: {}", path, files_.left_out.text()));
  }
  int64_t size() const override { return static_cast<int64_t>(files_.paths.size()); }

  at::Tensor read(int64_t index) const override {
    const fs::path path = files_.root / files_.paths[static_cast<size_t>(index)];
    try {
      const std::string bytes = read_file(path);
      const DecodedImage decoded =
          decode_image({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
      const Pixels rgb = with_channels(decoded.pixels, 3, Alpha::kDrop);
      at::Tensor picture = at::empty({3, rgb.height, rgb.width}, at::kByte);
      to_planes(rgb, picture.mutable_data_ptr<uint8_t>());
      return picture;
    } catch (DataError& error) {
      error.set_place({path.string()});
      throw;
    }
  }

  std::string content_hash() const override {
    std::string all;
    for (const std::string& path : files_.paths) all += path + '\0' + hash_file(files_.root / path);
    return hash_bytes(all.data(), all.size());
  }

 private:
  ImageFiles files_;
};

class DatasetImages final : public ImageSource {
 public:
  explicit DatasetImages(const Dataset& dataset) : dataset_(dataset) {
    for (const ArrayInfo& array : dataset.arrays())
      if (array.name == "images" && array.dtype == at::kByte && array.shape.size() == 3) {
        if (array.shape[0] == 2) throw DataError("pictures of 2 channels cannot be scored");
        return;
      }
    throw DataError("the dataset has no array 'images' of bytes [channels, height, width]",
                    "give a dataset of kind `images` (lockstep data convert image-folder)");
  }
  explicit DatasetImages(std::unique_ptr<Dataset> dataset) : DatasetImages(*dataset) {
    owned_ = std::move(dataset);
  }

  int64_t size() const override { return dataset_.size(); }
  std::string content_hash() const override { return dataset_.content_hash(); }

  at::Tensor read(int64_t index) const override {
    const at::Tensor picture =
        dataset_.read(std::span<const int64_t>(&index, 1)).array("images")[0];
    if (picture.size(0) == 1)
      return picture.expand({3, picture.size(1), picture.size(2)}).contiguous();
    return picture.size(0) == 3 ? picture : picture.slice(0, 0, 3).contiguous();
  }

 private:
  const Dataset& dataset_;
  std::unique_ptr<Dataset> owned_;
};

}  // namespace

std::unique_ptr<ImageSource> open_image_source(const std::string& given, bool skip_unread) {
  const char* help =
      "give a folder of pictures, a dataset of kind `images`, or a pattern of its shards";
  const std::string path = user_path(given);
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  if (!fs::exists(status) && path.find_first_of("*?[") == std::string::npos)
    throw DataError("there is no such folder or file", help, {path});
  if (fs::exists(status) && !fs::is_directory(status) && !fs::is_regular_file(status))
    throw DataError("this is a pipe or a device, and pictures are read more than once", help,
                    {path});
  if (fs::is_directory(status) && !fs::exists(fs::path(path) / "dataset.json", code))
    return std::make_unique<FolderImages>(path, skip_unread);
  return std::make_unique<DatasetImages>(open_dataset("images", {path}));
}

std::unique_ptr<ImageSource> images_of(const Dataset& dataset) {
  return std::make_unique<DatasetImages>(dataset);
}

}  // namespace lockstep
