#include "core/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <xxhash.h>

#include "core/errors.h"

namespace lockstep {
namespace {

std::string reason(int problem) { return std::generic_category().message(problem); }

std::string help_for(int problem) {
  switch (problem) {
    case ENOSPC:
      return "the disk is full: free some space, or write to another folder";
    case EDQUOT:
      return "the disk quota is used up: free some space, or write to another folder";
    case EROFS:
      return "the file system is read-only: write to another folder";
    case EACCES:
    case EPERM:
      return "check who owns the folder and its permissions (ls -ld)";
    case EMFILE:
    case ENFILE:
      return "too many files are open: raise the limit (ulimit -n)";
    case EIO:
      return "the disk reports a fault: look into the system's log";
    default:
      return "";
  }
}

[[noreturn]] void fail(const std::string& what, const fs::path& path, int problem) {
  throw EnvironmentError(fmt::format("cannot {} '{}': {}", what, path.string(), reason(problem)),
                         help_for(problem));
}

// An open descriptor, closed at the end of its scope.
class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, mode_t mode = 0666)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  // Close with its errors: some file systems report a full disk only here.
  int close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

// Opens a regular file for reading. O_NONBLOCK: a FIFO must not make us wait before fstat refuses
// it.
Descriptor open_regular(const fs::path& path, struct stat& info) {
  Descriptor file(path, O_RDONLY | O_NONBLOCK);
  if (!file.is_open()) {
    const int problem = errno;
    throw DataError(fmt::format("cannot read '{}': {}", path.string(), reason(problem)),
                    help_for(problem));
  }
  if (::fstat(file.get(), &info) != 0)
    throw DataError(fmt::format("cannot read '{}': {}", path.string(), reason(errno)));
  if (!S_ISREG(info.st_mode))
    throw DataError(fmt::format("'{}' is no regular file", path.string()));
  return file;
}

size_t read_some(const Descriptor& file, const fs::path& path, char* into, size_t size) {
  for (;;) {
    const ssize_t got = ::read(file.get(), into, size);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR)
      throw DataError(fmt::format("cannot read '{}': {}", path.string(), reason(errno)),
                      help_for(errno));
  }
}

std::string hex(const XXH128_hash_t& hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

void write_all(const fs::path& path, std::string_view content) {
  Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file.is_open()) fail("create", path, errno);
  while (!content.empty()) {
    const ssize_t done = ::write(file.get(), content.data(), content.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("write", path, errno);
    content.remove_prefix(static_cast<size_t>(done));
  }
  if (file.close() != 0) fail("write", path, errno);
}

}  // namespace

std::string read_file(const fs::path& path, size_t limit) {
  struct stat info{};
  const Descriptor file = open_regular(path, info);
  const auto too_long = [&] {
    return DataError(fmt::format("'{}' is longer than {} bytes", path.string(), limit));
  };
  if (static_cast<size_t>(info.st_size) > limit) throw too_long();
  std::string content(static_cast<size_t>(info.st_size), '\0');
  size_t size = 0;
  for (;;) {
    if (size == content.size())
      content.resize(size + 4096);  // grown, or a file of /proc without a size
    const size_t got = read_some(file, path, content.data() + size, content.size() - size);
    if (got == 0) break;
    size += got;
    if (size > limit) throw too_long();
  }
  content.resize(size);
  return content;
}

void write_file_atomic(const fs::path& path, std::string_view content) {
  write_atomic(path, [&](const fs::path& temporary) { write_all(temporary, content); });
}

void write_atomic(const fs::path& path,
                  const std::function<void(const fs::path& temporary)>& write) {
  static std::atomic<unsigned> counter{0};
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  // The extension stays, since some writers choose the format by it.
  const fs::path temporary =
      folder / fmt::format(".tmp-{}-{}-{}", ::getpid(), counter++, path.filename().string());
  try {
    write(temporary);
    sync_path(temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail("rename a file to", path, errno);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_path(folder);
}

void sync_path(const fs::path& path) {
  const Descriptor file(path, O_RDONLY);
  if (!file.is_open()) fail("open", path, errno);
  // EINVAL: a file system whose folders cannot be synced.
  if (::fsync(file.get()) != 0 && errno != EINVAL) fail("sync", path, errno);
}

void remove_temporary_files(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error))
    if (entry->path().filename().string().starts_with(".tmp-")) found.push_back(entry->path());
  for (const fs::path& path : found) fs::remove(path, error);
}

void make_folders(const fs::path& path) {
  std::error_code problem;
  fs::create_directories(path, problem);
  if (problem) fail("make the folder", path, problem.value());
  if (!path.empty() && !fs::is_directory(path, problem)) fail("make the folder", path, ENOTDIR);
}

bool is_safe_relative(const std::string& relative) {
  if (relative.empty() || relative.front() == '/') return false;
  for (const unsigned char c : relative)
    if (!std::isalnum(c) && c != '.' && c != '_' && c != '-' && c != '/') return false;
  for (const fs::path& part : fs::path(relative))
    if (part == "..") return false;
  return true;
}

std::string hash_bytes(const void* data, size_t size) { return hex(XXH3_128bits(data, size)); }

std::string hash_file(const fs::path& path) {
  struct stat info{};
  const Descriptor file = open_regular(path, info);
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::string block(size_t{1} << 20, '\0');
  while (const size_t got = read_some(file, path, block.data(), block.size()))
    XXH3_128bits_update(state.get(), block.data(), got);
  return hex(XXH3_128bits_digest(state.get()));
}

// No O_CLOEXEC: children hold the lock as well, so that it outlives a killed parent.
FileLock::FileLock(const fs::path& path, const std::string& help)
    : descriptor_(::open(path.c_str(), O_RDWR | O_CREAT, 0666)) {
  if (descriptor_ < 0) fail("open the lock", path, errno);
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(descriptor_, F_OFD_SETLK, &lock) == 0) return;
  const int problem = errno;
  ::close(descriptor_);
  if (problem == EAGAIN || problem == EACCES)
    throw LockedError(fmt::format("another process holds '{}'", path.string()), help);
  if (problem == ENOLCK || problem == EOPNOTSUPP)
    throw EnvironmentError(fmt::format("the file system of '{}' has no locks", path.string()),
                           "put the run folder onto another file system");
  fail("lock", path, problem);
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace lockstep
