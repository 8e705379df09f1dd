#include "ddp/communicator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "ddp/communicators.h"
#include "ddp/ddp_options.h"
#include "tests/harness/ranks.h"

namespace lockstep {
namespace {

using harness::message_of;
using harness::run_ranks;
using harness::try_ranks;

TEST(ThreadRanks, BroadcastGatherAndReduceOverFourRanks) {
  run_ranks(4, [](Communicator& comm) {
    int value = comm.rank() == 2 ? 42 : 0;
    comm.broadcast(&value, sizeof(value), 2, "broadcast");
    EXPECT_EQ(value, 42);
    std::vector<int> all(4);
    const int rank = comm.rank();
    comm.all_gather(&rank, all.data(), sizeof(int), "gather");
    EXPECT_EQ(all, (std::vector<int>{0, 1, 2, 3}));
    std::vector<float> numbers(1000, static_cast<float>(rank));
    comm.all_reduce(numbers.data(), numbers.size(), "reduce");
    EXPECT_EQ(numbers, std::vector<float>(1000, 6.0f));
    comm.barrier("end");
  });
}

TEST(ThreadRanks, ExchangeMovesBothDirectionsAtOnce) {
  run_ranks(2, [](Communicator& comm) {
    const std::vector<int> out(100, comm.rank() + 1);
    std::vector<int> in(100);
    for (int i = 0; i < 50; ++i) {
      comm.exchange(1 - comm.rank(), out.data(), 400, in.data(), 400, "exchange");
      EXPECT_EQ(in, std::vector<int>(100, 2 - comm.rank()));
    }
  });
}

TEST(ThreadRanks, StringsOfAnyLengthAreGathered) {
  run_ranks(3, [](Communicator& comm) {
    const auto all = all_gather_strings(comm, std::string(comm.rank() * 3, 'x'), "strings");
    EXPECT_EQ(all, (std::vector<std::string>{"", "xxx", "xxxxxx"}));
  });
}

TEST(Deadline, ARankThatNeverArrivesIsNamedWithinTheDeadline) {
  const auto start = std::chrono::steady_clock::now();
  const auto errors = try_ranks(
      3,
      [](Communicator& comm) {
        if (comm.rank() != 1) comm.barrier("the meeting");
      },
      0.3);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_LT(seconds, 2.0);
  for (int rank : {0, 2})
    EXPECT_NE(message_of(errors[rank]).find("rank 1 did not arrive at 'the meeting' within 0.3 s"),
              std::string::npos)
        << message_of(errors[rank]);
  EXPECT_EQ(errors[1], nullptr);
}

TEST(Deadline, AnExchangeNamesThePeerThatIsLate) {
  const auto errors = try_ranks(
      2,
      [](Communicator& comm) {
        float x = 0;
        if (comm.rank() == 0) comm.receive(1, &x, sizeof(x), "a number");
      },
      0.2);
  EXPECT_THROW(std::rethrow_exception(errors[0]), CommError);
  EXPECT_NE(message_of(errors[0]).find("rank 1 did not arrive at 'a number'"), std::string::npos);
}

TEST(Deadline, CallsThatDoNotMatchAreReportedAsSuch) {
  const auto errors = try_ranks(
      2,
      [](Communicator& comm) {
        float x = 0;
        comm.receive(1 - comm.rank(), &x, sizeof(x), "both listen");
      },
      0.2);
  EXPECT_NE(message_of(errors[0]).find("all ranks wait for each other"), std::string::npos)
      << message_of(errors[0]);
}

TEST(Abort, PeersFailAtOnceInsteadOfWaiting) {
  const auto errors = try_ranks(
      3,
      [](Communicator& comm) {
        if (comm.rank() == 2) return comm.abort(5);
        comm.barrier("never complete");
      },
      30);
  EXPECT_NE(message_of(errors[0]).find("rank 2 aborted with exit code 5"), std::string::npos);
  EXPECT_THROW(std::rethrow_exception(errors[1]), CommError);
}

TEST(Cancel, EndsACallOfThisRankFromAnotherThread) {
  ThreadRendezvous rendezvous(2, 30);
  auto comm = rendezvous.communicator(0);
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    comm->cancel();
  });
  EXPECT_THROW(comm->barrier("alone"), CommError);
  EXPECT_THROW(comm->barrier("later"), CommError);
  canceller.join();
}

TEST(Sizes, AMessageOfAnotherLengthIsAnError) {
  const auto errors = try_ranks(
      2,
      [](Communicator& comm) {
        char bytes[8] = {};
        if (comm.rank() == 0) return comm.send(1, bytes, 8, "letter");
        comm.receive(0, bytes, 4, "letter");
      },
      0.5);
  EXPECT_NE(message_of(errors[1]).find("rank 0 sent 8 bytes where rank 1 expected 4"),
            std::string::npos);
}

TEST(Single, NeedsNoPeerAndHasNone) {
  auto comm = make_communicator("single", {});
  EXPECT_EQ(comm->size(), 1);
  comm->barrier("b");
  float x = 3, y = 0;
  comm->all_gather(&x, &y, sizeof(x), "g");
  EXPECT_EQ(y, 3.0f);
  EXPECT_THROW(comm->send(0, &x, 4, "s"), InternalError);
}

TEST(Communicators, TheTableListsItsKinds) {
  std::vector<std::string> names;
  const auto table = communicators();
  for (const Kind& kind : table.rows()) names.push_back(kind.name);
  EXPECT_EQ(names, (std::vector<std::string>{"single", "threads", "mpi", "tcp"}));
  EXPECT_THROW(make_communicator("threads", {}), ConfigError);
  EXPECT_THROW(make_communicator("pigeons", {}), ConfigError);
}

TEST(Communicators, AutoFollowsWhoStartedTheRanks) {
  std::map<std::string, std::string> variables;
  const auto environment = [&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
  EXPECT_EQ(choose_backend("auto", environment), "single");
  variables = {{"SLURM_PROCID", "0"}};  // a batch shell is no rank
  EXPECT_EQ(choose_backend("auto", environment), "single");
  variables = {{"OMPI_COMM_WORLD_RANK", "1"}};
  EXPECT_EQ(choose_backend("auto", environment), "mpi");
  EXPECT_EQ(choose_backend("single", environment), "single");
  variables = {{"SLURM_STEP_ID", "0"}, {"PMIX_RANK", "3"}};
  EXPECT_EQ(choose_backend("auto", environment), "mpi");
  variables = {{"WORLD_SIZE", "2"}};
  EXPECT_THROW(choose_backend("auto", environment), EnvironmentError);
  variables = {{"WORLD_SIZE", "1"}, {"RANK", "0"}};
  EXPECT_EQ(choose_backend("auto", environment), "single");
  variables = {{"WORLD_SIZE", "2"}, {"RANK", "0"}};
  EXPECT_THROW(choose_backend("auto", environment), EnvironmentError);  // nowhere to meet
  variables.insert({{"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", "29500"}});
  EXPECT_EQ(choose_backend("auto", environment), "tcp");
  EXPECT_THROW(choose_backend("mpi", environment), ConfigError);
  variables["OMPI_COMM_WORLD_RANK"] = "1";
  EXPECT_EQ(choose_backend("auto", environment), "mpi");
  EXPECT_THROW(choose_backend("tcp", environment), ConfigError);
  variables["LOCKSTEP_RANK"] = "0";  // our own child, in a shell that mpirun started
  EXPECT_EQ(choose_backend("auto", environment), "tcp");
}

}  // namespace
}  // namespace lockstep
