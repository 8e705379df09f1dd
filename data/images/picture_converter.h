// Encoded pictures in, shards out: decodes and fits blocks of them on threads, writes in the given
// order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/images/image_commands.h"
#include "data/images/image_shards.h"

namespace lockstep {

// A picture before decoding. `bytes` empty: they are in file `name`.
struct EncodedPicture {
  std::string name;  // for messages
  std::string bytes;
  int64_t label = 0;
};

class PictureConverter {
 public:
  // The first picture's size decides if options.fit.size is 0. Throws ConfigError for options that
  // do not fit each other.
  PictureConverter(const std::filesystem::path& folder, std::string made_by,
                   const ConvertPicturesOptions& options, bool labeled);
  ~PictureConverter();

  // Decodes `block` and adds it; bounded memory if blocks are. Throws DataError naming the first
  // picture that cannot be decoded, unless skip_broken.
  void add(const std::vector<EncodedPicture>& block);
  // Writes dataset.json; the recipe holds the options, `source` and the class names. Throws
  // DataError if there is no picture.
  Converted finish(const std::string& source, const std::vector<std::string>& classes);

 private:
  void start(const ImageShape& shape);

  std::filesystem::path folder_;
  std::string made_by_;
  ConvertPicturesOptions options_;
  bool labeled_;
  std::unique_ptr<DatasetWriter> writer_;
  std::unique_ptr<SplitShards> shards_;
  std::optional<ImageShape> shape_;
  std::string first_name_;
  int64_t skipped_ = 0;
};

// Pictures decoded at a time.
inline constexpr size_t kPictureBlock = 256;

// The recipe of a conversion as JSON: the options without threads and overwrite, source, class
// names, number of pictures skipped.
std::string conversion_recipe(const std::function<void(FieldVisitor&)>& options,
                              const std::string& source, const std::vector<std::string>& classes,
                              int64_t skipped);

}  // namespace lockstep
