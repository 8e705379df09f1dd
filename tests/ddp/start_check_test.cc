#include "ddp/start_check.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/harness/ranks.h"

namespace lockstep {
namespace {

using harness::message_of;
using harness::try_ranks;

TEST(StartCheck, EqualRanksPass) {
  harness::run_ranks(
      4, [](Communicator& comm) { check_start(comm, {{"config hash", "abc"}, {"isa", "avx2"}}); });
}

TEST(StartCheck, TheRankThatDiffersIsNamedWithBothValues) {
  const auto errors = try_ranks(4, [](Communicator& comm) {
    check_start(
        comm, {{"config hash", "abc"},
               {"instruction set", comm.rank() == 2 ? "avx2" : "avx512", "set run.cpu_isa: avx2"}});
  });
  for (const auto& error : errors) {
    EXPECT_EQ(message_of(error),
              "ranks differ in instruction set: rank 0 has 'avx512', rank 2 'avx2'");
    try {
      std::rethrow_exception(error);
    } catch (const ConfigError& thrown) {
      EXPECT_EQ(thrown.help(), "set run.cpu_isa: avx2");
    }
  }
}

TEST(StartCheck, LongListsShowWhereTheyPart) {
  const auto errors = try_ranks(2, [](Communicator& comm) {
    NamedTensors parameters;
    for (int i = 0; i < 300; ++i)
      parameters.push_back(
          {"layer." + std::to_string(i), at::zeros({i == 250 && comm.rank() == 1 ? 3 : 2})});
    check_start(comm, {parameters_fact(ArenaLayout::of(parameters))});
  });
  EXPECT_NE(message_of(errors[0]).find("layer.250[2]"), std::string::npos) << message_of(errors[0]);
  EXPECT_NE(message_of(errors[0]).find("layer.250[3]"), std::string::npos);
  EXPECT_LT(message_of(errors[0]).size(), 700u);
}

TEST(StartCheck, OneBitOfTheInitialWeightsIsSeen) {
  const auto errors = try_ranks(3, [](Communicator& comm) {
    const ArenaLayout layout = ArenaLayout::of({{"w", at::zeros({100})}});
    Arena weights(layout);
    weights.flat().fill_(1.0f);
    if (comm.rank() == 1) weights.data()[77] = std::nextafter(1.0f, 2.0f);
    check_start(comm, {weights_fact(weights)});
  });
  EXPECT_NE(message_of(errors[0]).find("initial weights"), std::string::npos);
  EXPECT_NE(message_of(errors[0]).find("rank 1"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
