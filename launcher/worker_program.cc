#include "launcher/worker_program.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "core/errors.h"
#include "core/text_lines.h"
#include "launcher/ranks/child_process.h"

namespace lockstep {

namespace fs = std::filesystem;

std::string launcher_path() {
  std::error_code error;
  const fs::path path = fs::read_symlink("/proc/self/exe", error);
  if (error) throw EnvironmentError("/proc is not mounted: cannot find this program's folder");
  return path.string();
}

std::string worker_path() {
  const char* named = std::getenv("LOCKSTEP_WORKER");
  const std::string path =
      named != nullptr ? named
                       : (fs::path(launcher_path()).parent_path() / "lockstep-worker").string();
  if (access(path.c_str(), X_OK) != 0) {
    throw EnvironmentError(
        "the program '" + path + "' is missing",
        "build both programs: scripts/lockstep does it, or `ninja -C build programs`");
  }
  return path;
}

void exec_worker(const std::vector<std::string>& arguments) {
  const std::string path = worker_path();
  std::vector<char*> words{const_cast<char*>(path.c_str())};
  for (const std::string& argument : arguments)
    words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  execv(path.c_str(), words.data());
  throw EnvironmentError("cannot start " + path + ": " + std::strerror(errno));
}

WorkerAnswer ask_worker(const std::vector<std::string>& arguments, SignalWatch* signals) {
  Command command{{worker_path()}, {{"OMP_NUM_THREADS", "1"}}};
  command.words.insert(command.words.end(), arguments.begin(), arguments.end());
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw EnvironmentError(std::string("cannot make a pipe: ") + std::strerror(errno));
  ChildProcess child(command, {signals != nullptr, SIGTERM, -1, ends[1], -1});
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (;;) {
    pollfd descriptors[2] = {{ends[0], POLLIN, 0},
                             {signals != nullptr ? signals->descriptor() : -1, POLLIN, 0}};
    poll(descriptors, 2, -1);
    if (signals != nullptr) signals->read_pending();
    if (signals != nullptr && signals->stop_requested())
      child.signal(signals->end_at_once() ? SIGKILL : SIGTERM);
    if ((descriptors[0].revents & (POLLIN | POLLHUP)) == 0) continue;
    const ssize_t got = read(ends[0], buffer, sizeof buffer);
    if (got <= 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  const ExitStatus status = child.wait();
  return {status.code, last_line(text)};
}

}  // namespace lockstep
