#include "launcher/rank_pipe.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/errors.h"

namespace lockstep {

RankPipe::RankPipe(const std::filesystem::path& path) {
  // Opened for writing too, so that it has a writer before rank 0 comes and after it leaves.
  if (mkfifo(path.c_str(), 0600) == 0) descriptor_ = open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (descriptor_ < 0) throw EnvironmentError("cannot make the pipe " + path.string() + ": " + std::strerror(errno));
}

RankPipe::~RankPipe() { close(descriptor_); }

void RankPipe::drain(Console& console) {
  char buffer[16 * 1024];
  // As much as a pipe holds, no more: a rank that writes without end must not keep us here.
  for (int i = 0; i < 8; ++i) {
    const ssize_t got = read(descriptor_, buffer, sizeof buffer);
    if (got <= 0) return;
    console.pass_on({buffer, static_cast<size_t>(got)});
  }
}

}  // namespace lockstep
