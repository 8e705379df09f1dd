#include "data/images/picture_converter.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/config/config_node.h"
#include "core/errors.h"
#include "core/log.h"
#include "data/images/decode_image.h"
#include "data/parallel_for.h"

namespace lockstep {
namespace {

constexpr int64_t kNamedSkips = 5;  // skipped files named in the log; the others are counted

struct DecodedPicture {
  std::optional<Pixels> pixels;
  std::optional<DataError> broken;
};

DecodedPicture decode(const EncodedPicture& picture, const ImageFitOptions& fit) {
  try {
    const std::string file = picture.bytes.empty() ? read_file(picture.name) : std::string();
    const std::string& bytes = picture.bytes.empty() ? file : picture.bytes;
    DecodedImage decoded =
        decode_image({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    return {fit_image(std::move(decoded.pixels), decoded.orientation, fit), {}};
  } catch (DataError& error) {
    error.set_place({picture.name});
    return {{}, error};
  }
}

}  // namespace

std::string conversion_recipe(const std::function<void(FieldVisitor&)>& options,
                              const std::string& source, const std::vector<std::string>& classes,
                              int64_t skipped) {
  nlohmann::ordered_json recipe =
      nlohmann::ordered_json::parse(print_json(options, {"threads", "overwrite", "prefix"}));
  recipe["source"] = source;
  if (!classes.empty()) recipe["classes"] = classes;
  recipe["skipped"] = skipped;
  // Names of files may be in any encoding; dataset.json is UTF-8.
  return recipe.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

PictureConverter::PictureConverter(const fs::path& folder, std::string made_by,
                                   const ConvertPicturesOptions& options, bool labeled)
    : folder_(folder), made_by_(std::move(made_by)), options_(options), labeled_(labeled) {
  split_prefixes(options.shards.prefix, options.shards.validation);
  check_fit(options.fit);
}

PictureConverter::~PictureConverter() = default;

void PictureConverter::start(const ImageShape& shape) {
  shape_ = shape;
  DatasetPlan plan{"images", made_by_, "", image_arrays(shape, labeled_)};
  plan.prefixes = split_prefixes(options_.shards.prefix, options_.shards.validation);
  writer_ = std::make_unique<DatasetWriter>(folder_, plan, options_.shards.overwrite);
  shards_ =
      std::make_unique<SplitShards>(*writer_, shape, labeled_, options_.shards.prefix,
                                    options_.shards.samples_per_shard, options_.shards.validation);
}

void PictureConverter::add(const std::vector<EncodedPicture>& block) {
  std::vector<DecodedPicture> outcomes(block.size());
  parallel_for(
      0, static_cast<int64_t>(block.size()), num_threads(options_.shards.threads), [&](int64_t i) {
        outcomes[static_cast<size_t>(i)] = decode(block[static_cast<size_t>(i)], options_.fit);
      });
  std::vector<uint8_t> planes;
  for (size_t i = 0; i < block.size(); ++i) {
    if (outcomes[i].broken) {
      const DataError& error = *outcomes[i].broken;
      if (!options_.shards.skip_broken)
        throw DataError(error.fact(),
                        error.help().empty()
                            ? "mend or remove the file, or leave such files out with --skip-broken"
                            : error.help(),
                        error.place());
      if (skipped_++ < kNamedSkips)
        log_warning(fmt::format("left out {}: {}", block[i].name, error.fact()));
      continue;
    }
    const Pixels& pixels = *outcomes[i].pixels;
    const ImageShape shape{pixels.channels, pixels.height, pixels.width};
    if (!shape_) {
      start(shape);
      first_name_ = block[i].name;
    }
    if (shape != *shape_)
      throw DataError(fmt::format("the picture has {} x {} pixels, {} has {} x {}", shape.width,
                                  shape.height, first_name_, shape_->width, shape_->height),
                      "give all one size: size=64 resize=stretch|shorter_side|box",
                      {block[i].name});
    planes.resize(pixels.data.size());
    to_planes(pixels, planes.data());
    shards_->add(planes.data(), block[i].label);
  }
}

Converted PictureConverter::finish(const std::string& source,
                                   const std::vector<std::string>& classes) {
  if (!shards_)
    throw DataError(skipped_ > 0 ? fmt::format("none of the {} pictures can be decoded", skipped_)
                                 : "there are no pictures",
                    "", {source});
  shards_->finish(source);
  const Converted converted{shards_->images(), shards_->held_out(), skipped_,
                            static_cast<int64_t>(classes.size()), classes};
  ConvertPicturesOptions options = options_;
  writer_->set_recipe(conversion_recipe([&](FieldVisitor& visit) { options.fields(visit); }, source,
                                        classes, skipped_));
  writer_->finish();
  if (skipped_ > 0)
    log_warning(fmt::format("{} of {} pictures were broken and left out", skipped_,
                            converted.images + skipped_));
  return converted;
}

}  // namespace lockstep
