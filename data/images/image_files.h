// The pictures below a folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lockstep {

struct ImageFiles {
  std::filesystem::path root;
  std::vector<std::string>
      paths;  // relative to root, sorted by bytes: the order is the same everywhere
  std::vector<std::string> others;  // pictures of other formats by their name (.gif …): not read
};

// Files named .png, .jpg or .jpeg in any case, at any depth; names that start with a dot, and links
// to folders, are left out. Throws DataError if `root` is no folder, may not be read or holds no
// picture.
ImageFiles find_image_files(const std::filesystem::path& root);

}  // namespace lockstep
