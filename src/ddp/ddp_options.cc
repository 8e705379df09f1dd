#include "ddp/ddp_options.h"

#include "core/errors.h"

namespace lockstep {

void check_ddp_options(const DdpOptions& options) {
  if (options.shard_optimizer)
    throw ConfigError("ddp.shard_optimizer is not available in this version",
                      "leave it out: every rank then holds the whole optimizer state");
}

bool reduces_by_tree(const DdpOptions& options, bool cpu) {
  return options.reduce == "tree" || (options.reduce == "auto" && cpu);
}

}  // namespace lockstep
