// The named pipe through which rank 0 talks to people.
#pragma once

#include <filesystem>

#include "launcher/console.h"

namespace lockstep {

class RankPipe {
 public:
  // Makes it. Throws EnvironmentError.
  explicit RankPipe(const std::filesystem::path& path);
  ~RankPipe();
  RankPipe(const RankPipe&) = delete;
  RankPipe& operator=(const RankPipe&) = delete;

  int descriptor() const { return descriptor_; }
  // Passes on what has arrived. Does not wait.
  void drain(Console& console);

 private:
  int descriptor_ = -1;
};

}  // namespace lockstep
