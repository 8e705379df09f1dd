#include "data/images/images_dataset.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/philox.h"
#include "data/shards/checked_dataset.h"
#include "data/shards/dataset_index.h"
#include "data/shards/dtypes.h"

namespace lockstep {
namespace {

bool is_label(const ArrayInfo& array) {
  const at::ScalarType type = array.dtype;
  return array.shape.empty() && !array.ragged &&
         (type == at::kByte || type == at::kInt || type == at::kLong);
}

bool is_picture(const ArrayInfo& array) {
  return array.dtype == at::kByte && array.shape.size() == 3 && !array.ragged &&
         array.shape[0] <= 4;
}

void check_image_arrays(const ShardList& list) {
  const Place place{index_path(list.shards[0].path.parent_path()).string()};
  const char* help =
      "convert pictures with `lockstep data convert image-folder`, or make some with `lockstep "
      "data make shapes`";
  if (list.kind != "images")
    throw DataError(fmt::format("the dataset's kind is '{}', not 'images'", list.kind), help,
                    place);
  bool has_images = false;
  for (const ArrayInfo& array : list.arrays) {
    if (array.name == "images" && !is_picture(array))
      throw DataError("array 'images' is not u8 [channels, height, width] with 1 to 4 channels",
                      help, place);
    if (array.name == "labels" && !is_label(array))
      throw DataError("array 'labels' is not one integer a picture", help, place);
    has_images |= array.name == "images";
  }
  if (!has_images) throw DataError("the dataset has no array 'images'", help, place);
}

class ImagesDataset final : public CheckedDataset {
 public:
  using CheckedDataset::CheckedDataset;

 private:
  void check(Batch& batch) const override {
    if (const auto labels = batch.arrays.find("labels"); labels != batch.arrays.end())
      check_labels(batch, labels->second);
  }

  // Labels become indices, so their sign is checked on every read; their limit is the model's to
  // know.
  void check_labels(const Batch& batch, at::Tensor& labels) const {
    labels = labels.to(at::kLong);
    const auto* values = labels.const_data_ptr<int64_t>();
    for (size_t row = 0; row < batch.ids.size(); ++row)
      if (values[row] < 0)
        refuse(batch.ids[row], fmt::format(" has label {}", values[row]),
               "labels count from 0; convert the dataset again");
  }
};

}  // namespace

std::unique_ptr<Dataset> make_images_dataset(const ShardList& list, const ArraysOptions& options) {
  check_image_arrays(list);
  return std::make_unique<ImagesDataset>(list, options);
}

at::Tensor mirror_by_sample(const at::Tensor& images, std::span<const int64_t> ids, uint64_t seed,
                            uint32_t step) {
  const Stream stream(seed, Purpose::kSymmetry);
  std::vector<int64_t> mirrored;
  for (size_t row = 0; row < ids.size(); ++row)
    if (ids[row] >= 0 && stream.uniform(static_cast<uint64_t>(ids[row]), step, 0) < 0.5f)
      mirrored.push_back(static_cast<int64_t>(row));
  if (mirrored.empty()) return images;
  at::Tensor out = images.clone();
  const at::Tensor rows = at::tensor(mirrored, at::kLong);
  out.index_copy_(0, rows, images.index_select(0, rows).flip({-1}));
  return out;
}

}  // namespace lockstep
