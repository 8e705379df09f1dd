// Ranks must agree before they work together: on the config, on program and library versions,
// on the instruction set, on parameters and initial weights (design.md 3, rules 3, 5).
//
// Each rank brings a list of facts; a rank that differs is named with both values.
#pragma once

#include <string>
#include <vector>

#include "ddp/arena.h"
#include "ddp/communicator.h"

namespace lockstep {

struct StartFact {
  std::string name;  // "config hash", "instruction set" …
  std::string value;
  std::string help;  // what to do when ranks differ in it
};

// Collective. Throws ConfigError, the same on all ranks, naming the first fact that differs, the
// ranks, and their values beside rank 0's; CommError if a rank does not arrive.
void check_start(Communicator& comm, const std::vector<StartFact>& facts);

// Facts about a model: names and shapes, and a hash of its weights.
StartFact parameters_fact(const ArenaLayout& layout);
StartFact weights_fact(const Arena& weights);

}  // namespace lockstep
