#include "launcher/ranks/rank_entry.h"

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

int exec_program(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  std::fprintf(stderr, "error: cannot start %s: %s\n", arguments[0], std::strerror(errno));
  return 127;
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
    std::fputs(
        "error: as-rank is how lockstep starts its own ranks\nhelp: run `lockstep train CONFIG`\n",
        stderr);
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
  return exec_program({words.begin() + 2, words.end()});
}

namespace {

struct Translation {
  const char* name;
  std::vector<const char*> sources;
};

}  // namespace

int run_as_torch_rank(const std::vector<std::string>& words) {
  if (words.empty()) return 2;
  const Translation translations[] = {
      {"RANK", {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"}},
      {"WORLD_SIZE", {"OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}},
      {"LOCAL_RANK", {"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"}},
      {"LOCAL_WORLD_SIZE", {"OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE"}},
      {"GROUP_RANK", {"OMPI_COMM_WORLD_NODE_RANK", "SLURM_NODEID"}},
  };
  for (const Translation& translation : translations)
    for (const char* source : translation.sources)
      if (const char* value = std::getenv(source)) {
        setenv(translation.name, value, 1);
        break;
      }
  for (const char* name : {"RANK", "WORLD_SIZE"})
    if (const char* value = std::getenv(name))
      setenv((std::string("ROLE_") + name).c_str(), value, 1);
  return exec_program(words);
}

}  // namespace lockstep
