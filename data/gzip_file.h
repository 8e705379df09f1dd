// A file that may be compressed with gzip, read whole.
#pragma once

#include <filesystem>
#include <string>

namespace lockstep {

// The content, uncompressed if the file starts with gzip's magic bytes. At most `limit` bytes of
// content, whatever the file claims. Throws DataError naming the file.
std::string read_maybe_gzip(const std::filesystem::path& path, size_t limit = size_t{4} << 30);

}  // namespace lockstep
