// A file that is read once from front to back: compressed with gzip or plain, on disk or a pipe.
//
// Pipes are what a shell makes of `<(…)` and `/dev/stdin`. Bytes are unpacked as they are asked
// for, so memory does not follow what a small file unpacks to.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace lockstep {

class GzipInput {
 public:
  // Throws DataError naming the file if it cannot be opened, is a folder, or starts as a zip, xz,
  // bzip2, zstd or Parquet file does.
  explicit GzipInput(const std::filesystem::path& path);
  ~GzipInput();
  GzipInput(const GzipInput&) = delete;
  GzipInput& operator=(const GzipInput&) = delete;

  // The next bytes, at most `count`; 0 at the end. A gzip file may have several parts. Throws
  // DataError if reading fails or the compressed data are damaged or cut short.
  size_t read(char* out, size_t count);
  // Bytes taken from the file so far, and its size (of a pipe: what came so far), for progress.
  int64_t bytes_read() const { return bytes_read_; }
  int64_t bytes_total() const { return std::max(bytes_total_, bytes_read_); }

 private:
  struct Inflater;
  bool fill();
  size_t unpack(char* out, size_t count);
  void refuse_known_formats() const;

  std::string path_;
  int descriptor_ = -1;
  std::vector<char> block_;
  size_t place_ = 0, filled_ = 0;
  int64_t bytes_read_ = 0, bytes_total_ = 0;
  std::unique_ptr<Inflater> inflater_;  // of gzip files
};

}  // namespace lockstep
