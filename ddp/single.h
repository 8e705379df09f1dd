// The communicator of a run with one rank: nothing to move.
#pragma once

#include <memory>

#include "ddp/communicator.h"

namespace lockstep {

std::unique_ptr<Communicator> make_single_communicator();

}  // namespace lockstep
