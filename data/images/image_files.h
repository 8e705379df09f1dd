// The pictures below a folder, and what else lies there.
//
// Nothing vanishes: a path is either in `paths` or counted in `left_out` under the reason why.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace lockstep {

// Paths that are not used, by reason.
class LeftOut {
 public:
  // `picture`: it probably is a picture that somebody wanted to use.
  void add(const std::string& reason, const std::string& example, bool picture = true);
  bool empty() const { return reasons_.empty(); }
  int64_t total() const;
  // How many of them are probably pictures: without them a score is another one.
  int64_t pictures() const;
  // "3 of format .webp ('a.webp' …), 1 link that leads nowhere ('b.png')".
  std::string text(bool pictures_only = false) const;

 private:
  struct Entry {
    int64_t count = 0;
    std::string example;
    bool picture = false;
  };
  std::map<std::string, Entry> reasons_;
};

struct ImageFiles {
  std::filesystem::path root;
  // Relative to root, sorted by bytes: the order is the same everywhere.
  std::vector<std::string> paths;
  LeftOut left_out;
};

// True for the names of formats that people keep pictures in and that are not decoded here.
// `extension` is in lower case, with its dot.
bool is_other_picture(const std::string& extension);
// True for .png, .jpg, .jpeg and their rarer spellings.
bool is_our_picture(const std::string& extension);

// Files named as PNG or JPEG in any case, at any depth. Links to files and folders are followed; a
// link that leads back to a folder above itself is left out. Throws DataError if `root` is no
// folder, if a folder may not be read, or if there is no picture.
ImageFiles find_image_files(const std::filesystem::path& root);

}  // namespace lockstep
