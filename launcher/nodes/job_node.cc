#include "launcher/nodes/job_node.h"

#include <cstdio>

#include <sys/random.h>

#include "core/errors.h"

namespace lockstep {

Socket bind_master(JobNode& node) {
  const std::string port = std::to_string(node.master_port);
  Socket socket = bind_at(resolve(node.master_address, node.master_port),
                          "another job may be running there (`ss -ltnp 'sport = :" + port +
                              "'` shows it): choose another --master-port, the same on all nodes");
  node.master_port = local_address(socket).port();
  return socket;
}

std::string random_secret() {
  unsigned char bytes[12];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    throw EnvironmentError("the system gives no random bytes");
  std::string text;
  char digits[3];
  for (unsigned char byte : bytes) {
    std::snprintf(digits, sizeof digits, "%02x", byte);
    text += digits;
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> rank_variables(const JobNode& node, int64_t local,
                                                                int master) {
  const auto text = [](int64_t value) { return std::to_string(value); };
  const std::string rank = text(node.first_rank() + local), size = text(node.ranks());
  std::vector<std::pair<std::string, std::string>> variables{
      {"RANK", rank},
      {"WORLD_SIZE", size},
      {"LOCAL_RANK", text(local)},
      {"LOCAL_WORLD_SIZE", text(node.ranks_per_node)},
      {"GROUP_RANK", text(node.rank)},
      {"GROUP_WORLD_SIZE", text(node.nodes)},
      {"ROLE_RANK", rank},
      {"ROLE_WORLD_SIZE", size},
      {"MASTER_ADDR", node.master_address},
      {"MASTER_PORT", text(node.master_port)},
      {"TORCHELASTIC_RESTART_COUNT", text(node.restart)},
      {"TORCHELASTIC_MAX_RESTARTS", text(node.max_restarts)},
      {"TORCHELASTIC_USE_AGENT_STORE", "False"},
      {"LOCKSTEP_SECRET", node.secret},
  };
  if (master >= 0 && rank == "0") variables.emplace_back("LOCKSTEP_MASTER_SOCKET", text(master));
  return variables;
}

}  // namespace lockstep
