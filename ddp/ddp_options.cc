#include "ddp/ddp_options.h"

namespace lockstep {

bool reduces_by_tree(const DdpOptions& options, bool cpu) {
  return options.reduce == "tree" || (options.reduce == "auto" && cpu);
}

}  // namespace lockstep
