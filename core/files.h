// Files: whole reads with a limit, atomic writes, locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace lockstep {

namespace fs = std::filesystem;

// The whole file. Throws DataError if it is missing, no regular file, or longer than `limit` bytes.
std::string read_file(const fs::path& path, size_t limit = size_t{1} << 30);

// Writes `path` so that a crash leaves the old or the new content, never a part: temporary
// name beside it, fsync, rename, fsync of the folder. Throws EnvironmentError (disk full …).
void write_file_atomic(const fs::path& path, std::string_view content);

// The same for content that a function writes to a temporary path (HDF5, safetensors, PNG).
void write_atomic(const fs::path& path,
                  const std::function<void(const fs::path& temporary)>& write);

// fsync of a file or folder. Throws EnvironmentError.
void sync_path(const fs::path& path);

// mkdir -p. Throws EnvironmentError.
void make_folders(const fs::path& path);
// Removes what write_atomic left in `folder` itself when its process was killed. For whoever alone
// writes there now; what cannot be removed stays.
void remove_temporary_files(const fs::path& folder);

// True if `relative` is a plain relative path: [A-Za-z0-9._-/], no "..", not absolute.
bool is_safe_relative(const std::string& relative);

// XXH3-128 as 32 hexadecimal digits, of bytes or of a file's content (read in blocks).
std::string hash_bytes(const void* data, size_t size);
std::string hash_file(const fs::path& path);

// An exclusive lock on a file (open file description lock), held until destroyed; children
// that inherit the descriptor hold it too. Throws LockedError with `help` if another has it.
class FileLock {
 public:
  FileLock(const fs::path& path, const std::string& help);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace lockstep
