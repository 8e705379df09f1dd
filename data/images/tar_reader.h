// Reads a tar archive from front to back: ustar, pax (path and size records) and GNU long names.
//
// POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format". An archive is hostile
// until checked: every header's checksum is compared, sizes are bounded, names are never opened.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace lockstep {

struct TarMember {
  std::string name;
  std::string bytes;
};

class TarReader {
 public:
  // Throws DataError if the file cannot be read.
  explicit TarReader(const std::filesystem::path& path);
  // The next regular file; false at the end. Folders and links are passed over. Throws DataError
  // naming archive and offset for a damaged header, a member cut short or one above kLargest.
  bool next(TarMember& member);
  static constexpr uint64_t kLargest = uint64_t{1} << 28;
  int64_t bytes_read() const { return static_cast<int64_t>(offset_); }

 private:
  struct Header;
  bool read_header(Header& header);
  std::string read_body(uint64_t size);
  [[noreturn]] void fail(const std::string& fact, uint64_t at) const;

  std::filesystem::path path_;
  std::ifstream file_;
  uint64_t offset_ = 0;
};

}  // namespace lockstep
