#include "data/gzip_file.h"

#include <memory>
#include <vector>

#include <zlib.h>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {

std::string read_maybe_gzip(const fs::path& path, size_t limit) {
  const std::string raw = read_file(path, limit);
  if (raw.size() < 2 || raw[0] != '\x1f' || raw[1] != '\x8b') return raw;
  z_stream stream{};
  // 15 + 16: a gzip header, the largest window.
  if (::inflateInit2(&stream, 15 + 16) != Z_OK) throw EnvironmentError("zlib has no memory");
  const std::unique_ptr<z_stream, void (*)(z_stream*)> end(&stream,
                                                           [](z_stream* s) { ::inflateEnd(s); });
  std::string content;
  std::vector<char> unpacked(1 << 20);
  size_t taken = 0;
  int state = Z_OK;
  while (state != Z_STREAM_END) {
    if (stream.avail_in == 0) {
      const size_t piece = std::min<size_t>(raw.size() - taken, 1 << 20);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(raw.data() + taken));
      stream.avail_in = static_cast<uInt>(piece);
      taken += piece;
    }
    stream.next_out = reinterpret_cast<Bytef*>(unpacked.data());
    stream.avail_out = static_cast<uInt>(unpacked.size());
    state = ::inflate(&stream, Z_NO_FLUSH);
    content.append(unpacked.data(), unpacked.size() - stream.avail_out);
    if (state != Z_OK && state != Z_STREAM_END)
      throw DataError("the gzip file is damaged or cut short", "copy it again", {path.string()});
    if (content.size() > limit)
      throw DataError("the gzip file unpacks to too many bytes", "", {path.string()});
  }
  return content;
}

}  // namespace lockstep
