// A temporary folder for what one attempt needs: mpirun's session, its shared memory, a pipe.
//
// Without it a killed mpirun would leave its files in /tmp and /dev/shm for ever. The folder
// lies in /dev/shm where there is one, since Open MPI maps its message queues from it. A launcher
// that was killed itself cannot remove its folder: the next launcher does.
#pragma once

#include <filesystem>
#include <memory>

#include "core/files.h"

namespace lockstep {

class ScratchFolder {
 public:
  // Removes abandoned folders of this user first. Throws EnvironmentError.
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::unique_ptr<FileLock> lock_;  // inherited by mpirun: held as long as anyone uses the folder
};

}  // namespace lockstep
