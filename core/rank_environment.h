// Which rank this process is, as whoever started it says through the environment. The one place
// that knows the names: everything else asks here.
//
// A process is a rank of, in this order:
//   our own launcher   LOCKSTEP_RANK
//   Open MPI           OMPI_COMM_WORLD_RANK
//   a Slurm step       PMIX_RANK beside SLURM_STEP_ID (srun --mpi=pmix)
//   MPICH, Intel MPI   PMI_RANK
//   torchrun, clusters RANK and WORLD_SIZE
// A batch shell of Slurm has SLURM_PROCID=0 and is no rank; a Slurm step without PMIx counts by
// SLURM_PROCID only where the caller knows that ranks run (design.md 7).
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace lockstep {

// Reads a variable; null if it is not set. std::getenv, or a table in tests.
using EnvironmentLookup = std::function<const char*(const char* name)>;

enum class RankStarter { kNone, kLockstep, kOpenMpi, kSlurm, kMpich, kTorchrun };

struct RankEnvironment {
  RankStarter starter = RankStarter::kNone;
  // Each as text, as it stands in the environment: who needs a number checks it.
  std::optional<std::string> rank, size, local_rank, local_size, node;

  bool is_rank() const { return starter != RankStarter::kNone; }
  // MPI started it, so ranks meet by MPI.
  bool by_mpi() const {
    return starter == RankStarter::kOpenMpi || starter == RankStarter::kSlurm ||
           starter == RankStarter::kMpich;
  }
};

RankEnvironment read_rank_environment(const EnvironmentLookup& environment);
RankEnvironment read_rank_environment();  // of this process

// A number of it, or `otherwise` where it is missing or no whole number ≥ 0.
int number_of(const std::optional<std::string>& text, int otherwise);

}  // namespace lockstep
