#include "core/rank_environment.h"

#include <gtest/gtest.h>

#include <map>

namespace lockstep {
namespace {

using Variables = std::map<std::string, std::string>;

RankEnvironment read(const Variables& variables) {
  return read_rank_environment([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(RankEnvironment, KnowsEveryStarter) {
  struct Case {
    Variables variables;
    RankStarter starter;
    const char *rank, *size, *local_rank;
    bool by_mpi;
  };
  const Case cases[] = {
      {{{"LOCKSTEP_RANK", "1"}, {"LOCKSTEP_WORLD_SIZE", "2"}, {"LOCKSTEP_LOCAL_RANK", "1"}},
       RankStarter::kLockstep,
       "1",
       "2",
       "1",
       false},
      {{{"OMPI_COMM_WORLD_RANK", "3"},
        {"OMPI_COMM_WORLD_SIZE", "4"},
        {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}},
       RankStarter::kOpenMpi,
       "3",
       "4",
       "1",
       true},
      {{{"SLURM_STEP_ID", "0"}, {"PMIX_RANK", "5"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "2"}},
       RankStarter::kSlurm,
       "5",
       "8",
       "2",
       true},
      {{{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "1"}},
       RankStarter::kMpich,
       "1",
       "2",
       "1",
       true},
      {{{"RANK", "2"}, {"WORLD_SIZE", "4"}, {"LOCAL_RANK", "0"}},
       RankStarter::kTorchrun,
       "2",
       "4",
       "0",
       false},
  };
  for (const Case& c : cases) {
    const RankEnvironment found = read(c.variables);
    EXPECT_EQ(found.starter, c.starter) << c.variables.begin()->first;
    EXPECT_EQ(found.rank, c.rank);
    EXPECT_EQ(found.size, c.size);
    EXPECT_EQ(found.local_rank, c.local_rank);
    EXPECT_EQ(found.by_mpi(), c.by_mpi);
  }
}

TEST(RankEnvironment, IsNoRankInABatchShellOrWithHalfOfTorchrunsNames) {
  EXPECT_FALSE(read({}).is_rank());
  EXPECT_FALSE(read({{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}}).is_rank());
  EXPECT_FALSE(read({{"PMIX_RANK", "0"}}).is_rank());
  EXPECT_FALSE(read({{"RANK", "0"}}).is_rank());
}

TEST(RankEnvironment, OurOwnNameGoesFirst) {
  EXPECT_EQ(read({{"OMPI_COMM_WORLD_RANK", "3"}, {"LOCKSTEP_RANK", "0"}}).starter,
            RankStarter::kLockstep);
}

TEST(RankEnvironment, ReadsNumbersStrictly) {
  EXPECT_EQ(number_of("12", 0), 12);
  for (const char* text : {"", "-1", "1x", "99999999999"}) EXPECT_EQ(number_of(text, 7), 7) << text;
  EXPECT_EQ(number_of(std::nullopt, 3), 3);
}

}  // namespace
}  // namespace lockstep
