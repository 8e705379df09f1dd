#include "data/images/image_files.h"

#include <sys/stat.h>
#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

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

// Walks a tree by hand: std::filesystem's own walk either passes linked folders over or follows
// links in circles without end.
class TreeWalk {
 public:
  explicit TreeWalk(ImageFiles& files) : files_(files) {}

  void folder(const fs::path& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return;
    const std::pair<dev_t, ino_t> own{info.st_dev, info.st_ino};
    if (std::find(above_.begin(), above_.end(), own) != above_.end())
      return leave_out(path, "link(s) back to a folder above", false);
    above_.push_back(own);
    std::error_code code;
    fs::directory_iterator walk(path, code);
    for (const fs::directory_iterator end; !code && walk != end; walk.increment(code))
      entry(walk->path());
    if (code)
      throw DataError("the folder cannot be read: " + code.message(),
                      "allow reading it, or move it away", {path.string()});
    above_.pop_back();
  }

 private:
  void entry(const fs::path& path) {
    std::error_code code;
    const fs::file_status status = fs::status(path, code);
    const std::string extension = lower_extension(path);
    const bool hidden = path.filename().string().starts_with('.');
    if (hidden) return leave_out(path, "hidden file(s) or folder(s)", false);
    if (status.type() == fs::file_type::directory) return folder(path);
    if (status.type() == fs::file_type::not_found || code)
      return leave_out(path, "link(s) that lead nowhere", true);
    if (status.type() != fs::file_type::regular)
      return leave_out(path, "pipe(s), socket(s) or device(s)", false);
    if (is_our_picture(extension))
      files_.paths.push_back(path.lexically_relative(files_.root).string());
    else if (is_other_picture(extension))
      leave_out(path, "file(s) of format " + extension, true);
    else
      leave_out(path,
                extension.empty() ? "file(s) without an ending" : "file(s) named " + extension,
                false);
  }

  void leave_out(const fs::path& path, const std::string& reason, bool picture) {
    files_.left_out.add(reason, path.lexically_relative(files_.root).string(), picture);
  }

  ImageFiles& files_;
  std::vector<std::pair<dev_t, ino_t>> above_;  // the folders that the walk is inside of
};

}  // namespace

void LeftOut::add(const std::string& reason, const std::string& example, bool picture) {
  Entry& entry = reasons_[reason];
  // The smallest name, so that the message does not depend on the order of a folder's entries.
  if (entry.count++ == 0 || example < entry.example) entry.example = example;
  entry.picture = picture;
}

int64_t LeftOut::total() const {
  int64_t total = 0;
  for (const auto& [reason, entry] : reasons_) total += entry.count;
  return total;
}

int64_t LeftOut::pictures() const {
  int64_t total = 0;
  for (const auto& [reason, entry] : reasons_) total += entry.picture ? entry.count : 0;
  return total;
}

std::string LeftOut::text(bool pictures_only) const {
  std::vector<std::string> parts;
  for (const auto& [reason, entry] : reasons_)
    if (entry.picture || !pictures_only)
      parts.push_back(fmt::format("{} {} ('{}'{})", entry.count, reason, entry.example,
                                  entry.count > 1 ? " …" : ""));
  return fmt::format("{}", fmt::join(parts, ", "));
}

bool is_our_picture(const std::string& extension) {
  static const std::set<std::string> ours = {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif"};
  return ours.contains(extension);
}

bool is_other_picture(const std::string& extension) {
  static const std::set<std::string> others = {
      ".gif",  ".bmp",  ".dib",  ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm",
      ".avif", ".heic", ".heif", ".jp2", ".j2k",  ".jxl",  ".ico", ".tga", ".psd", ".svg",
      ".exr",  ".hdr",  ".dng",  ".cr2", ".nef",  ".arw",  ".raw", ".npy"};
  return others.contains(extension);
}

ImageFiles find_image_files(const fs::path& root) {
  std::error_code code;
  if (!fs::is_directory(root, code))
    throw DataError(fs::exists(root, code) ? "this is no folder" : "there is no such folder",
                    "give a folder of .png and .jpg files", {root.string()});
  ImageFiles files{root, {}, {}};
  TreeWalk(files).folder(root);
  std::sort(files.paths.begin(), files.paths.end());
  if (files.paths.empty())
    throw DataError(files.left_out.empty() ? "the folder holds no .png, .jpg or .jpeg file"
                                           : "the folder holds no .png, .jpg or .jpeg file, but " +
                                                 files.left_out.text(),
                    "convert the pictures to PNG first", {root.string()});
  return files;
}

}  // namespace lockstep
