#include "ddp/communicators.h"

#include <fmt/format.h>

#include <cstdlib>

#include "ddp/mpi_plugin.h"
#include "ddp/single.h"
#include "ddp/tcp/tcp_communicator.h"

namespace lockstep {

Table<Communicator, const CommunicatorSetup&> communicators() {
  Table<Communicator, const CommunicatorSetup&> table("communicator");
  table.add<NoOptions>(
      "single", "one rank, nothing to move",
      [](const NoOptions&, const CommunicatorSetup&) { return make_single_communicator(); });
  table.add<NoOptions>("threads", "ranks as threads of one process, for tests",
                       [](const NoOptions&, const CommunicatorSetup& setup) {
                         if (setup.rendezvous == nullptr)
                           throw ConfigError(
                               "ddp.backend 'threads' connects threads of one process",
                               "use `ddp.backend: auto`");
                         return setup.rendezvous->communicator(setup.rank);
                       });
  table.add<NoOptions>("mpi", "Open MPI or MPICH, through liblockstep_mpi.so",
                       [](const NoOptions&, const CommunicatorSetup& setup) {
                         return make_mpi_communicator(setup.timeout_seconds);
                       });
  table.add<NoOptions>(
      "tcp", "ranks that MPI did not start: torchrun's, a cluster's, our own",
      [](const NoOptions&, const CommunicatorSetup& setup) {
        const auto environment = [](const char* name) { return std::getenv(name); };
        return make_tcp_communicator(read_job_place(environment), setup.timeout_seconds);
      });
  return table;
}

namespace {

// Our own launcher's ranks count as what they are even where variables of another one are left
// over.
std::string follow_environment(const EnvironmentLookup& environment) {
  const RankEnvironment rank = read_rank_environment(environment);
  const bool ours = rank.starter == RankStarter::kLockstep;
  if (rank.by_mpi()) return "mpi";
  if (ours && !has_job_place(environment)) return "single";
  if (has_job_place(environment)) return read_job_place(environment).size > 1 ? "tcp" : "single";
  const char* world = environment("WORLD_SIZE");
  if (world != nullptr && std::atoi(world) > 1)
    throw EnvironmentError(
        fmt::format("this is one of {} ranks, but RANK is not set", world),
        "start the ranks with torchrun, mpirun or srun, or with `lockstep train`, which does");
  return "single";
}

}  // namespace

std::string choose_backend(const std::string& backend, const EnvironmentLookup& environment) {
  const std::string fits = follow_environment(environment);
  if (backend == "auto") return fits;
  if ((backend == "mpi" && fits == "tcp") || (backend == "tcp" && fits != "tcp"))
    throw ConfigError(fmt::format("ddp.backend is {}, but {}", backend,
                                  fits == "tcp"   ? "these ranks were not started by MPI"
                                  : fits == "mpi" ? "these ranks were started by MPI"
                                                  : "this is a single rank"),
                      "use `ddp.backend: auto`, which follows whoever started the ranks");
  return backend;
}

std::unique_ptr<Communicator> make_communicator(const std::string& backend,
                                                const CommunicatorSetup& setup) {
  const Table<Communicator, const CommunicatorSetup&> table = communicators();
  const std::string kind =
      choose_backend(backend, [](const char* name) { return std::getenv(name); });
  return table.make(Choice(table, kind), setup);
}

}  // namespace lockstep
