#include "launcher/ranks/rank_pipe.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "core/errors.h"
#include "core/terminal.h"

namespace lockstep {

RankPipe::RankPipe(const std::filesystem::path& folder) : path_(folder / "rank-0.stderr") {
  if (stderr_is_terminal() && open_terminal()) return;
  // Opened for writing too, so that it has a writer before rank 0 comes and after it leaves.
  if (mkfifo(path_.c_str(), 0600) == 0)
    descriptor_ = open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (descriptor_ < 0)
    throw EnvironmentError("cannot make the pipe " + path_.string() + ": " + std::strerror(errno));
}

RankPipe::~RankPipe() {
  close(descriptor_);
  if (other_end_ >= 0) close(other_end_);
}

// False where there are none (a container without /dev/pts): a pipe does, without a bar.
bool RankPipe::open_terminal() {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (master < 0) return false;
  char name[128];
  if (grantpt(master) == 0 && unlockpt(master) == 0 && ptsname_r(master, name, sizeof name) == 0) {
    other_end_ = open(name, O_WRONLY | O_NOCTTY | O_CLOEXEC);
  }
  if (other_end_ < 0) {
    close(master);
    return false;
  }
  termios settings{};
  if (tcgetattr(master, &settings) == 0) {
    settings.c_oflag &=
        ~static_cast<tcflag_t>(OPOST);  // our terminal turns \n into \r\n, once is enough
    tcsetattr(master, TCSANOW, &settings);
  }
  descriptor_ = master;
  path_ = name;
  copy_window_size();
  return true;
}

void RankPipe::copy_window_size() {
  winsize size{};
  if (other_end_ >= 0 && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0)
    ioctl(descriptor_, TIOCSWINSZ, &size);
}

void RankPipe::drain(Console& console) {
  copy_window_size();
  char buffer[16 * 1024];
  // As much as a pipe holds, no more: a rank that writes without end must not keep us here.
  for (int i = 0; i < 8; ++i) {
    const ssize_t got = read(descriptor_, buffer, sizeof buffer);
    if (got <= 0) return;
    console.pass_on({buffer, static_cast<size_t>(got)});
  }
}

}  // namespace lockstep
