#include "core/rank_environment.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace lockstep {
namespace {

// The names of one starter; the first that is set counts. `also`: must be set too.
struct StarterNames {
  RankStarter starter;
  const char *rank, *also;
  std::array<const char*, 2> size, local_rank, local_size, node;
};

constexpr StarterNames kStarters[] = {
    {RankStarter::kLockstep,
     "LOCKSTEP_RANK",
     nullptr,
     {"LOCKSTEP_WORLD_SIZE"},
     {"LOCKSTEP_LOCAL_RANK", "LOCAL_RANK"},
     {"LOCAL_WORLD_SIZE"},
     {"GROUP_RANK"}},
    {RankStarter::kOpenMpi,
     "OMPI_COMM_WORLD_RANK",
     nullptr,
     {"OMPI_COMM_WORLD_SIZE"},
     {"OMPI_COMM_WORLD_LOCAL_RANK"},
     {"OMPI_COMM_WORLD_LOCAL_SIZE"},
     {"OMPI_COMM_WORLD_NODE_RANK"}},
    {RankStarter::kSlurm,
     "PMIX_RANK",
     "SLURM_STEP_ID",
     {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"},
     {"SLURM_LOCALID"},
     {"SLURM_NTASKS_PER_NODE"},
     {"SLURM_NODEID"}},
    {RankStarter::kMpich,
     "PMI_RANK",
     nullptr,
     {"PMI_SIZE"},
     {"MPI_LOCALRANKID", "PMI_LOCAL_RANK"},
     {"MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"},
     {}},
    {RankStarter::kTorchrun,
     "RANK",
     "WORLD_SIZE",
     {"WORLD_SIZE"},
     {"LOCAL_RANK", "SLURM_LOCALID"},
     {"LOCAL_WORLD_SIZE"},
     {"GROUP_RANK"}},
};

std::optional<std::string> first_of(const EnvironmentLookup& environment,
                                    const std::array<const char*, 2>& names) {
  for (const char* name : names)
    if (name != nullptr)
      if (const char* value = environment(name)) return value;
  return std::nullopt;
}

}  // namespace

RankEnvironment read_rank_environment(const EnvironmentLookup& environment) {
  for (const StarterNames& names : kStarters) {
    const char* rank = environment(names.rank);
    if (rank == nullptr || (names.also != nullptr && environment(names.also) == nullptr)) continue;
    return {names.starter,
            rank,
            first_of(environment, names.size),
            first_of(environment, names.local_rank),
            first_of(environment, names.local_size),
            first_of(environment, names.node)};
  }
  return {};
}

RankEnvironment read_rank_environment() {
  return read_rank_environment([](const char* name) -> const char* { return std::getenv(name); });
}

int number_of(const std::optional<std::string>& text, int otherwise) {
  if (!text) return otherwise;
  int value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc() && end == text->data() + text->size() && value >= 0 ? value
                                                                                  : otherwise;
}

}  // namespace lockstep
