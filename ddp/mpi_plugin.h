// The door to liblockstep_mpi.so, which alone knows MPI (design.md 2): opened only when MPI
// started the ranks, so that the program runs without any MPI.
#pragma once

#include <memory>

#include "ddp/communicator.h"

namespace lockstep {

// Raised whenever what crosses the plug-in's border changes.
constexpr int kMpiPluginAbi = 2;

// What the plug-in exports as `lockstep_mpi_make`. Returns a new Communicator, nullptr if `abi`
// is not its own.
using MpiPluginMake = Communicator* (*)(int abi, double timeout_seconds);

// Collective. Opens the plug-in beside liblockstep.so and starts MPI. Once per process. Throws
// EnvironmentError if the plug-in or libmpi is missing or was built for another version.
std::unique_ptr<Communicator> make_mpi_communicator(double timeout_seconds);

}  // namespace lockstep
