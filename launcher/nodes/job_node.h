// One node's share of a job whose ranks are our own children: what torchrun calls a node.
//
// On one node nothing has to be said. Over several nodes the same command runs on each, with the
// number of nodes, this node's number and where rank 0 listens.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/sockets.h"

namespace lockstep {

struct JobNode {
  int64_t nodes = 1;
  int64_t rank = 0;  // of this node
  int64_t ranks_per_node = 1;
  std::string master_address = "127.0.0.1";
  int master_port = 0;  // 0: any free one (a single node)
  std::string secret;   // the same on all nodes; "": none
  int64_t restart = 0;  // how often the ranks were started before
  int64_t max_restarts = 0;

  int64_t first_rank() const { return rank * ranks_per_node; }
  int64_t ranks() const { return nodes * ranks_per_node; }
};

constexpr int kDefaultMasterPort = 29'500;  // torchrun's

// Where rank 0 will listen, bound by its launcher so that nobody else gets the port in between.
// Sets `master_port` if it was 0. Throws EnvironmentError if the port is in use.
Socket bind_master(JobNode& node);

// A secret that only this launcher's ranks know.
std::string random_secret();

// RANK, WORLD_SIZE, LOCAL_RANK … of the `local`-th rank of this node. `master`: inherited by rank 0
// if it is a Lockstep program, else -1.
std::vector<std::pair<std::string, std::string>> rank_variables(const JobNode& node, int64_t local,
                                                                int master);

}  // namespace lockstep
