#include "data/gzip_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <zlib.h>

#include "core/errors.h"

namespace lockstep {
namespace {

constexpr size_t kInputBlock = 1 << 18;
constexpr std::string_view kGzipMagic = "\x1f\x8b";

}  // namespace

struct GzipInput::Inflater {
  z_stream stream{};
  bool between_parts = false;  // a part of the gzip file has ended and no other has begun

  Inflater() {
    // 15 + 16: a gzip header, the largest window.
    if (::inflateInit2(&stream, 15 + 16) != Z_OK) throw EnvironmentError("zlib has no memory");
  }
  ~Inflater() { ::inflateEnd(&stream); }
};

GzipInput::GzipInput(const std::filesystem::path& path)
    : path_(path.string()), block_(kInputBlock) {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info{};
  if (descriptor_ < 0 || ::fstat(descriptor_, &info) != 0 || S_ISDIR(info.st_mode)) {
    const std::string why = descriptor_ < 0 ? std::strerror(errno) : "it is a folder";
    if (descriptor_ >= 0) ::close(descriptor_);
    throw DataError("cannot read the file: " + why, "name a readable file", {path_});
  }
  if (S_ISREG(info.st_mode)) bytes_total_ = info.st_size;
  try {
    fill();
    refuse_known_formats();
    if (std::string_view(block_.data(), filled_).starts_with(kGzipMagic))
      inflater_ = std::make_unique<Inflater>();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

GzipInput::~GzipInput() { ::close(descriptor_); }

// Formats that people have and that are unpacked by other programs. Only the first bytes count.
void GzipInput::refuse_known_formats() const {
  const std::string_view head(block_.data(), filled_);
  const auto refuse = [&](const char* format, const char* help) {
    throw DataError(std::string("the file is a ") + format + " file", help, {path_});
  };
  if (head.starts_with("PK\x03\x04")) refuse("zip", "unpack it first: unzip FILE");
  if (head.starts_with(std::string_view("\xfd"
                                        "7zXZ\0",
                                        6)))
    refuse("xz", "unpack it first: xz -d FILE");
  if (head.starts_with("BZh")) refuse("bzip2", "unpack it first: bzip2 -d FILE");
  if (head.starts_with("\x28\xb5\x2f\xfd")) refuse("zstd", "unpack it first: zstd -d FILE");
  if (head.starts_with("PAR1")) refuse("Parquet", "save it as CSV first");
}

// The next block of the file; false at its end.
bool GzipInput::fill() {
  ssize_t got;
  do got = ::read(descriptor_, block_.data(), block_.size());
  while (got < 0 && errno == EINTR);
  if (got < 0)
    throw DataError(std::string("reading the file failed: ") + std::strerror(errno), "", {path_});
  place_ = 0;
  filled_ = static_cast<size_t>(got);
  bytes_read_ += got;
  // A pipe may give one byte at first; formats are told by more.
  while (bytes_read_ == got && got > 0 && filled_ < 16) {
    const ssize_t more = ::read(descriptor_, block_.data() + filled_, block_.size() - filled_);
    if (more <= 0) break;
    filled_ += static_cast<size_t>(more);
    bytes_read_ += more;
    got += more;
  }
  return filled_ > 0;
}

size_t GzipInput::read(char* out, size_t count) {
  if (inflater_) return unpack(out, count);
  if (place_ == filled_ && !fill()) return 0;
  const size_t taken = std::min(count, filled_ - place_);
  std::memcpy(out, block_.data() + place_, taken);
  place_ += taken;
  return taken;
}

size_t GzipInput::unpack(char* out, size_t count) {
  z_stream& stream = inflater_->stream;
  const auto damaged = [&] {
    return DataError("the gzip file is damaged or cut short", "copy it again", {path_});
  };
  stream.next_out = reinterpret_cast<Bytef*>(out);
  stream.avail_out = static_cast<uInt>(std::min<size_t>(count, 1 << 20));
  const uInt wanted = stream.avail_out;
  while (stream.avail_out == wanted) {
    if (place_ == filled_ && !fill()) {
      if (inflater_->between_parts) return 0;
      throw damaged();
    }
    if (inflater_->between_parts) {
      // Zero bytes may fill up the last block of a tape or disk; anything else is another part.
      if (block_[place_] == '\0') {
        ++place_;
        continue;
      }
      ::inflateReset(&stream);
      inflater_->between_parts = false;
    }
    stream.next_in = reinterpret_cast<Bytef*>(block_.data() + place_);
    stream.avail_in = static_cast<uInt>(filled_ - place_);
    const int state = ::inflate(&stream, Z_NO_FLUSH);
    place_ = filled_ - stream.avail_in;
    if (state == Z_STREAM_END)
      inflater_->between_parts = true;
    else if (state != Z_OK)
      throw damaged();
  }
  return wanted - stream.avail_out;
}

}  // namespace lockstep
