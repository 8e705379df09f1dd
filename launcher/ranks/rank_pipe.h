// The channel through which rank 0 talks to people.
//
// A pseudo terminal if our stderr is a terminal, so that rank 0 draws its progress bar as if it
// were started alone; else a named pipe. Either way mpirun's own messages stay apart from it.
#pragma once

#include <filesystem>
#include <string>

#include "launcher/ranks/console.h"

namespace lockstep {

class RankPipe {
 public:
  // `folder`: where a named pipe is made. Throws EnvironmentError.
  explicit RankPipe(const std::filesystem::path& folder);
  ~RankPipe();
  RankPipe(const RankPipe&) = delete;
  RankPipe& operator=(const RankPipe&) = delete;

  // What rank 0 opens for writing.
  const std::filesystem::path& path() const { return path_; }
  int descriptor() const { return descriptor_; }
  // Passes on what has arrived. Does not wait.
  void drain(Console& console);

 private:
  bool open_terminal();
  void copy_window_size();

  std::filesystem::path path_;
  int descriptor_ = -1;
  int other_end_ =
      -1;  // of a pseudo terminal: held open, or reading would fail while nobody writes
};

}  // namespace lockstep
