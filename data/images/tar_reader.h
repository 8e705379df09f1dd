// Lists a tar archive and reads its members: ustar, pax (path, linkpath and size records), GNU long
// names and links, archives that were concatenated.
//
// POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format". An archive is hostile
// until checked: every header's checksum is compared, sizes are bounded, names are never opened.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace lockstep {

// A file in an archive, and where its bytes lie.
struct TarMember {
  std::string name;
  uint64_t begin = 0, size = 0;
};

// What an archive holds. Links are resolved: a link to a file of the archive is a member with the
// bytes of that file.
struct TarListing {
  std::vector<TarMember> files;               // in the archive's order
  std::map<std::string, std::string> unused;  // names that give no file, with the reason
};

class TarReader {
 public:
  // Throws DataError if the file cannot be read, or is a pipe: it is read twice.
  explicit TarReader(const std::filesystem::path& path);
  // Reads all headers and passes over the bodies. Memory follows the number of members. Throws
  // DataError naming archive and offset for a damaged header, a member cut short or one above
  // kLargest.
  TarListing list();
  // The bytes of a member. Throws DataError if the archive became shorter meanwhile.
  std::string read(const TarMember& member);
  static constexpr uint64_t kLargest = uint64_t{1} << 28;

 private:
  struct Header;
  bool read_header(Header& header);
  std::string read_body(uint64_t size);
  void pass_body(uint64_t size);
  [[noreturn]] void fail(const std::string& fact, uint64_t at) const;

  std::filesystem::path path_;
  std::ifstream file_;
  uint64_t offset_ = 0, length_ = 0;
};

}  // namespace lockstep
