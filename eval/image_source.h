// Pictures to be scored, one after the other, whatever they are stored in.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "data/dataset.h"

namespace lockstep {

class ImageSource {
 public:
  virtual ~ImageSource() = default;
  virtual int64_t size() const = 0;
  // Picture `index` as u8 [3, H, W]: grey is repeated, alpha dropped. Any thread. Throws DataError
  // naming the file.
  virtual at::Tensor read(int64_t index) const = 0;
  // Of all content, 32 hexadecimal digits. May read every byte.
  virtual std::string content_hash() const = 0;
};

// `path` is a folder of PNG and JPEG files, or a dataset of kind `images`: its folder, a shard or a
// pattern of shards. A folder is read recursively in the order of its paths, pictures as stored,
// without regard to EXIF, like pytorch-fid. Pictures of other formats and links that lead nowhere
// are a DataError, or a warning with `skip_unread`; other files are a warning. Throws DataError.
std::unique_ptr<ImageSource> open_image_source(const std::string& path, bool skip_unread = false);

// Pictures of `dataset`, which outlives the source. Throws DataError if it has no `images`.
std::unique_ptr<ImageSource> images_of(const Dataset& dataset);

}  // namespace lockstep
