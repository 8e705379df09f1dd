#include "launcher/ranks/scratch_folder.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "core/errors.h"

namespace lockstep {
namespace {

std::string prefix() { return "lockstep-" + std::to_string(getuid()) + "-"; }

fs::path parent_folder() {
  if (access("/dev/shm", W_OK | X_OK) == 0) return "/dev/shm";
  return fs::temp_directory_path();
}

bool is_mine(const fs::path& path) {
  struct stat info{};
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == getuid();
}

// A folder whose lock nobody holds belongs to no living run.
void remove_abandoned(const fs::path& parent) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().rfind(prefix(), 0) == 0) found.push_back(it->path());
  }
  for (const fs::path& path : found) {
    if (!is_mine(path) || !fs::exists(path / ".lock", error)) continue;
    try {
      FileLock lock(path / ".lock", "");
      fs::remove_all(path, error);
    } catch (const Error&) {
      continue;  // in use
    }
  }
}

}  // namespace

ScratchFolder::ScratchFolder() {
  const fs::path parent = parent_folder();
  remove_abandoned(parent);
  for (int tries = 0; lock_ == nullptr; ++tries) {
    std::string name = (parent / (prefix() + "XXXXXX")).string();
    if (mkdtemp(name.data()) == nullptr) {
      throw EnvironmentError("cannot make a temporary folder in " + parent.string() + ": " +
                             std::strerror(errno));
    }
    path_ = name;
    try {
      lock_ = std::make_unique<FileLock>(path_ / ".lock", "");
    } catch (const LockedError&) {
      if (tries == 3) throw;  // another launcher took it for abandoned and removes it
    }
  }
}

ScratchFolder::~ScratchFolder() {
  std::error_code error;
  fs::remove_all(path_, error);
}

}  // namespace lockstep
