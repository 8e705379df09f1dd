#include "launcher/ranks/rank_entry.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <optional>

#include "core/rank_environment.h"

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
  const RankEnvironment environment = read_rank_environment();
  const char* task = std::getenv("SLURM_PROCID");  // srun without PMIx; this is a rank for certain
  return number_of(environment.rank, task == nullptr ? 0 : std::atoi(task));
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

int run_as_torch_rank(const std::vector<std::string>& words) {
  if (words.empty()) return 2;
  RankEnvironment from = read_rank_environment();
  const auto or_variable = [](std::optional<std::string>& value, const char* name) {
    const char* text = std::getenv(name);
    if (!value && text != nullptr) value = text;
  };
  or_variable(from.rank, "SLURM_PROCID");  // srun without PMIx
  or_variable(from.size, "SLURM_NTASKS");
  or_variable(from.local_rank, "SLURM_LOCALID");
  or_variable(from.local_size, "SLURM_NTASKS_PER_NODE");
  or_variable(from.node, "SLURM_NODEID");
  const auto set = [](const char* name, const std::optional<std::string>& value) {
    if (value) setenv(name, value->c_str(), 1);
  };
  set("RANK", from.rank);
  set("WORLD_SIZE", from.size);
  set("LOCAL_RANK", from.local_rank);
  set("LOCAL_WORLD_SIZE", from.local_size);
  set("GROUP_RANK", from.node);
  for (const char* name : {"RANK", "WORLD_SIZE"})
    if (const char* value = std::getenv(name))
      setenv((std::string("ROLE_") + name).c_str(), value, 1);
  return exec_program(words);
}

}  // namespace lockstep
