#include "ddp/communicators.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "ddp/mpi_plugin.h"
#include "ddp/single.h"

namespace lockstep {

Table<Communicator, const CommunicatorSetup&> communicators() {
  Table<Communicator, const CommunicatorSetup&> table("communicator");
  table.add<NoOptions>("single", "one rank, nothing to move",
                       [](const NoOptions&, const CommunicatorSetup&) { return make_single_communicator(); });
  table.add<NoOptions>("threads", "ranks as threads of one process, for tests",
                       [](const NoOptions&, const CommunicatorSetup& setup) {
                         if (setup.rendezvous == nullptr)
                           throw ConfigError("ddp.backend 'threads' connects threads of one process",
                                             "use `ddp.backend: auto`");
                         return setup.rendezvous->communicator(setup.rank);
                       });
  table.add<NoOptions>("mpi", "Open MPI or MPICH, through liblockstep_mpi.so",
                       [](const NoOptions&, const CommunicatorSetup& setup) {
                         return make_mpi_communicator(setup.timeout_seconds);
                       });
  return table;
}

std::string choose_backend(const std::string& backend,
                           const std::function<const char*(const char*)>& environment) {
  if (backend != "auto") return backend;
  const auto is_set = [&](const char* name) { return environment(name) != nullptr; };
  if (is_set("OMPI_COMM_WORLD_RANK") || is_set("PMI_RANK")) return "mpi";
  if (is_set("SLURM_STEP_ID") && is_set("PMIX_RANK")) return "mpi";
  const char* world = environment("WORLD_SIZE");
  if (world != nullptr && std::atoi(world) > 1)
    throw EnvironmentError(fmt::format("this is one of {} ranks, but not started by MPI or Slurm", world),
                           "start the ranks with mpirun or srun, or with `lockstep train`, which does");
  return "single";
}

std::unique_ptr<Communicator> make_communicator(const std::string& backend, const CommunicatorSetup& setup) {
  const Table<Communicator, const CommunicatorSetup&> table = communicators();
  const std::string kind = choose_backend(backend, [](const char* name) { return std::getenv(name); });
  return table.make(Choice(table, kind), setup);
}

}  // namespace lockstep
