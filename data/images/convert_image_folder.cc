#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/log.h"
#include "core/progress.h"
#include "data/images/image_files.h"
#include "data/images/picture_converter.h"

namespace lockstep {
namespace {

// The first folder of each path; empty if `labels` is "no", or "auto" and no path has one.
std::vector<std::string> class_names(const ImageFiles& files, const std::string& labels) {
  std::vector<std::string> names;
  std::string loose;
  for (const std::string& path : files.paths) {
    const size_t slash = path.find('/');
    if (slash == std::string::npos)
      loose = path;
    else
      names.push_back(path.substr(0, slash));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (labels == "no" || (labels == "auto" && names.empty())) return {};
  if (!loose.empty() && labels == "auto") {
    log_warning(
        "pictures lie beside the sub-folders as well, so there are no labels (labels=no says so)");
    return {};
  }
  if (!loose.empty())
    throw DataError("the picture lies in no sub-folder, so it has no class",
                    "move it into its class's folder, or give labels=no",
                    {(files.root / loose).string()});
  return names;
}

// The class names of the dataset that these pictures are added to, since a label must mean the same
// class in all shards. Throws DataError if it lacks one of `names`.
std::vector<std::string> names_of_old(const fs::path& folder, bool overwrite,
                                      const std::vector<std::string>& names) {
  const std::optional<DatasetIndex> old = dataset_to_add_to(folder, overwrite);
  if (!old || old->recipe.empty() || names.empty()) return names;
  const nlohmann::json recipe = nlohmann::json::parse(old->recipe);
  const auto found = recipe.find("classes");
  if (found == recipe.end() || !found->is_array()) return names;
  std::vector<std::string> known;
  for (const auto& name : *found)
    if (name.is_string()) known.push_back(name.get<std::string>());
  for (const std::string& name : names)
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw DataError(fmt::format("'{}' is no class of the dataset, which has {}", name,
                                  fmt::join(known, ", ")),
                      "name the sub-folders as those of the training pictures, or convert all at "
                      "once with validation=0.1",
                      {folder.string()});
  return known;
}

}  // namespace

Converted convert_image_folder(const fs::path& input, const fs::path& folder,
                               const ConvertPicturesOptions& options, bool show_progress) {
  const ImageFiles files = find_image_files(input);
  if (!files.left_out.empty())
    log_warning(fmt::format("left out of {}: {}{}", input.string(), files.left_out.text(),
                            files.left_out.pictures() > 0
                                ? "; PNG and JPEG are read: convert other pictures first"
                                : ""));
  const std::vector<std::string> classes =
      names_of_old(folder, options.shards.overwrite, class_names(files, options.labels));
  PictureConverter converter(folder, "lockstep data convert image-folder", options,
                             !classes.empty());
  const auto total = static_cast<int64_t>(files.paths.size());
  Progress progress("convert", total, "picture", show_progress);
  for (size_t first = 0; first < files.paths.size(); first += kPictureBlock) {
    const size_t last = std::min(first + kPictureBlock, files.paths.size());
    std::vector<EncodedPicture> block;
    for (size_t i = first; i < last; ++i) {
      const std::string& path = files.paths[i];
      const auto found = std::find(classes.begin(), classes.end(), path.substr(0, path.find('/')));
      block.push_back(
          {(files.root / path).string(), "", classes.empty() ? 0 : found - classes.begin()});
    }
    converter.add(block);
    progress.update(static_cast<int64_t>(last));
  }
  progress.finish();
  return converter.finish(input.string(), classes);
}

}  // namespace lockstep
