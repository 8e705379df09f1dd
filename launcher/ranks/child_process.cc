#include "launcher/ranks/child_process.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/errors.h"

namespace lockstep {
namespace {

ExitStatus decode(int status) {
  if (WIFSIGNALED(status)) return {128 + WTERMSIG(status), WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

// Between fork and exec: only calls that are safe there.
void set_up_child(const ChildOptions& options, pid_t parent) {
  if (options.own_session) setsid();
  if (options.death_signal != 0) {
    prctl(PR_SET_PDEATHSIG, options.death_signal);
    if (getppid() != parent) _exit(125);  // the launcher died before the line above
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number : {SIGINT, SIGTERM, SIGUSR1, SIGHUP, SIGPIPE, SIGCHLD})
    std::signal(number, SIG_DFL);
  const int input = options.input >= 0 ? options.input : open("/dev/null", O_RDONLY);
  dup2(input, STDIN_FILENO);
  if (options.output >= 0) dup2(options.output, STDOUT_FILENO);
  if (options.error >= 0) dup2(options.error, STDERR_FILENO);
  if (options.inherited >= 0) fcntl(options.inherited, F_SETFD, 0);
}

}  // namespace

std::string Command::text() const {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ' ';
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789_-+=./:,@%^~") == std::string::npos;
    if (plain) {
      out += word;
      continue;
    }
    out += '\'';
    for (char c : word) c == '\'' ? out += "'\\''" : out += c;
    out += '\'';
  }
  return out;
}

ChildProcess::ChildProcess(const Command& command, const ChildOptions& options) {
  std::vector<char*> words;
  for (const std::string& word : command.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  int report[2];  // exec's errno comes back here
  if (pipe2(report, O_CLOEXEC) != 0)
    throw EnvironmentError(std::string("cannot make a pipe: ") + std::strerror(errno));
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0)
    throw EnvironmentError(std::string("cannot start a process: ") + std::strerror(errno));
  if (pid_ == 0) {
    for (const auto& [name, value] : command.environment) setenv(name.c_str(), value.c_str(), 1);
    set_up_child(options, parent);
    execvp(words[0], words.data());
    const int number = errno;
    if (write(report[1], &number, sizeof number) < 0) _exit(126);
    _exit(127);
  }
  close(report[1]);
  int number = 0;
  ssize_t got;
  do got = read(report[0], &number, sizeof number);
  while (got < 0 && errno == EINTR);
  close(report[0]);
  if (got == sizeof number) {
    wait();
    throw EnvironmentError("cannot start " + command.words[0] + ": " + std::strerror(number));
  }
}

ChildProcess::~ChildProcess() {
  if (status_) return;
  ::kill(pid_, SIGKILL);
  wait();
}

std::optional<ExitStatus> ChildProcess::ended() {
  int status = 0;
  if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) status_ = decode(status);
  return status_;
}

ExitStatus ChildProcess::wait() {
  int status = 0;
  while (!status_) {
    if (waitpid(pid_, &status, 0) == pid_) {
      status_ = decode(status);
    } else if (errno != EINTR) {
      status_ = ExitStatus{255, 0};
    }
  }
  return *status_;
}

void ChildProcess::signal(int number) {
  if (!ended()) ::kill(pid_, number);
}

std::string signal_name(int number) {
  const char* name = sigabbrev_np(number);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(number);
}

}  // namespace lockstep
