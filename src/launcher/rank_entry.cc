#include "launcher/rank_entry.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace lockstep {
namespace {

void redirect_stderr(int descriptor) {
  if (descriptor < 0) return;
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK);
  dup2(descriptor, STDERR_FILENO);
  close(descriptor);
}

}  // namespace

int rank_from_environment() {
  for (const char* name : {"LOCKSTEP_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"}) {
    if (const char* text = std::getenv(name)) return std::atoi(text);
  }
  return 0;
}

int run_as_rank(const std::vector<std::string>& words) {
  if (words.size() < 3) {
    std::fputs("error: as-rank is how lockstep starts its own ranks\nhelp: run `lockstep train CONFIG`\n", stderr);
    return 2;
  }
  const pid_t parent = getppid();
  prctl(PR_SET_PDEATHSIG, std::getenv("LOCKSTEP_RANK") != nullptr ? SIGTERM : SIGKILL);
  if (getppid() != parent) return 125;
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGUSR1, SIG_IGN);
  const int rank = rank_from_environment();
  const std::string log = words[1] + "/rank-" + std::to_string(rank) + ".log";
  // Opening without a reader fails (the launcher is gone): then rank 0 keeps mpirun's stderr.
  redirect_stderr(rank == 0 ? open(words[0].c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY)
                            : open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644));
  std::vector<char*> arguments;
  for (size_t i = 2; i < words.size(); ++i) arguments.push_back(const_cast<char*>(words[i].c_str()));
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  std::fprintf(stderr, "error: cannot start %s: %s\n", arguments[0], std::strerror(errno));
  return 127;
}

}  // namespace lockstep
