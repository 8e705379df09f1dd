#include "data/images/image_files.h"

#include <algorithm>
#include <cctype>
#include <set>

#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace fs = std::filesystem;
namespace {

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return extension;
}

}  // namespace

ImageFiles find_image_files(const fs::path& root) {
  static const std::set<std::string> ours = {".png", ".jpg", ".jpeg"};
  static const std::set<std::string> others = {".gif", ".bmp", ".tif",  ".tiff", ".webp",
                                               ".ppm", ".pgm", ".avif", ".heic", ".jp2"};
  std::error_code code;
  if (!fs::is_directory(root, code))
    throw DataError("there is no such folder", "give a folder of .png and .jpg files",
                    {root.string()});
  ImageFiles files{root, {}, {}};
  fs::recursive_directory_iterator walk(root, code), end;
  for (; !code && walk != end; walk.increment(code)) {
    if (walk->path().filename().string().starts_with('.')) {
      walk.disable_recursion_pending();
      continue;
    }
    std::error_code ignored;
    const std::string extension = lower_extension(walk->path());
    if (!walk->is_regular_file(ignored)) continue;
    const std::string relative = walk->path().lexically_relative(root).string();
    if (ours.contains(extension))
      files.paths.push_back(relative);
    else if (others.contains(extension))
      files.others.push_back(relative);
  }
  if (code) throw DataError("the folder cannot be read: " + code.message(), "", {root.string()});
  std::sort(files.paths.begin(), files.paths.end());
  if (files.paths.empty())
    throw DataError(
        files.others.empty()
            ? "the folder holds no .png, .jpg or .jpeg file"
            : fmt::format(
                  "the folder holds {} pictures of other formats ('{}' …), no .png, .jpg or .jpeg",
                  files.others.size(), files.others[0]),
        "convert the pictures to PNG first", {root.string()});
  return files;
}

}  // namespace lockstep
