#include "core/standard_output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "core/errors.h"

namespace lockstep {
namespace {

bool reader_left() {
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  return poll(&output, 1, 0) > 0 && (output.revents & POLLERR) != 0;
}

}  // namespace

void set_up_standard_output() { std::signal(SIGPIPE, SIG_IGN); }

int flush_standard_output(int code) {
  const bool failed_before = std::ferror(stdout) != 0;
  errno = 0;
  const bool failed = std::fflush(stdout) != 0 || failed_before;
  if (!failed || code != 0) return code;
  if (!reader_left()) {
    const EnvironmentError error(std::string("standard output was not written") +
                                     (errno != 0 ? std::string(": ") + std::strerror(errno) : ""),
                                 "is the disk full? send the output somewhere else");
    std::fprintf(stderr, "%s\n", error.message().c_str());
  }
  return static_cast<int>(ExitCode::kEnvironment);
}

}  // namespace lockstep
