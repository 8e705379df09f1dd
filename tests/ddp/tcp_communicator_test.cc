// Ranks that MPI did not start: the meeting, the connections, and every way a peer can be lost. The
// ranks are threads here, each with sockets of its own.
#include "ddp/tcp/tcp_communicator.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <thread>

#include "core/philox.h"
#include "core/sockets.h"
#include "ddp/tcp/job_place.h"
#include "ddp/tree.h"
#include "tests/harness/ranks.h"

namespace lockstep {
namespace {

using harness::message_of;

// A place to meet at: rank 0 gets the bound socket, so that no port can be in use.
std::vector<JobPlace> places(int size) {
  Socket socket = bind_at(resolve("127.0.0.1", 0), "");
  std::vector<JobPlace> out(size);
  for (int r = 0; r < size; ++r) {
    out[r].rank = out[r].local_rank = r;
    out[r].size = out[r].local_size = size;
    out[r].master_port = local_address(socket).port();
    out[r].secret = "test";
  }
  out[0].master_socket = socket.release();
  return out;
}

using Body = std::function<void(Communicator&)>;

// What each rank threw, null where nothing.
std::vector<std::exception_ptr> try_ranks(const std::vector<JobPlace>& jobs, const Body& body,
                                          double timeout = 30) {
  std::vector<std::exception_ptr> errors(jobs.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < jobs.size(); ++i)
    threads.emplace_back([&, i] {
      try {
        const auto comm = make_tcp_communicator(jobs[i], timeout);
        body(*comm);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

void run_ranks(int size, const Body& body) {
  const auto closing = [&](Communicator& comm) {
    body(comm);
    comm.close();
  };
  for (const std::exception_ptr& error : try_ranks(places(size), closing))
    EXPECT_EQ(message_of(error), "");
}

double seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(TcpRanks, BroadcastGatherAndReduceOnAnyNumberOfRanks) {
  for (int size : {2, 3, 4, 5}) {
    run_ranks(size, [size](Communicator& comm) {
      for (int root = 0; root < size; ++root) {
        int value = comm.rank() == root ? 40 + root : 0;
        comm.broadcast(&value, sizeof value, root, "broadcast");
        EXPECT_EQ(value, 40 + root);
      }
      std::vector<int> all(size);
      const int rank = comm.rank();
      comm.all_gather(&rank, all.data(), sizeof(int), "gather");
      for (int r = 0; r < size; ++r) EXPECT_EQ(all[r], r);
      std::vector<float> numbers(1001, static_cast<float>(rank + 1));
      comm.all_reduce(numbers.data(), numbers.size(), "reduce");
      EXPECT_EQ(numbers, std::vector<float>(1001, static_cast<float>(size * (size + 1) / 2)));
      EXPECT_EQ(all_gather_strings(comm, std::string(rank * 3, 'x'), "strings").at(size - 1).size(),
                3u * (size - 1));
      comm.barrier("end");
    });
  }
}

TEST(TcpRanks, LongMessagesPassEachOther) {
  run_ranks(2, [](Communicator& comm) {
    const std::vector<int> out(2'000'000, comm.rank() + 1);
    std::vector<int> in(out.size());
    comm.exchange(1 - comm.rank(), out.data(), out.size() * 4, in.data(), in.size() * 4,
                  "exchange");
    EXPECT_EQ(in, std::vector<int>(out.size(), 2 - comm.rank()));
  });
}

TEST(TcpRanks, TheTreeGivesTheBitsOfItsDefinition) {
  const Stream stream(7, Purpose::kTest);
  const auto number = [&](int64_t slot, int64_t i) {
    return stream.normal(slot, 1, i) *
           std::pow(2.0f, static_cast<float>(stream.below(slot, 0, i, 24)) - 12);
  };
  for (int size : {2, 3, 4})
    run_ranks(size, [&](Communicator& comm) {
      for (int64_t count : {1000, 20'001}) {
        TreeReduction tree(comm, 8);
        std::vector<std::vector<float>> mine;
        std::vector<float*> pointers;
        for (int64_t s = tree.local().begin; s < tree.local().end; ++s) {
          auto& buffer = mine.emplace_back(count);
          for (int64_t i = 0; i < count; ++i) buffer[i] = number(s, i);
        }
        for (auto& buffer : mine) pointers.push_back(buffer.data());
        tree.sum<float>(pointers, count, "tree");
        int64_t wrong = 0;
        for (int64_t i = 0; i < count; ++i) {
          const float wanted = tree_sum<float>(0, 8, [&](int64_t s) { return number(s, i); });
          wrong += std::memcmp(&wanted, &mine[0][i], sizeof wanted) != 0;
        }
        EXPECT_EQ(wrong, 0) << count << " numbers on " << size << " ranks";
      }
    });
}

TEST(TcpDeadline, NamesTheRankThatIsLateAndNotTheOneThatWasAsked) {
  // Rank 1 sleeps; rank 2 waits for it, rank 0 for rank 2.
  const auto errors = try_ranks(
      places(3),
      [](Communicator& comm) {
        float x = 0;
        if (comm.rank() == 1) return std::this_thread::sleep_for(std::chrono::milliseconds(1500));
        comm.receive((comm.rank() + 2) % 3, &x, sizeof x, "late exchange");
      },
      0.5);
  const std::string both = message_of(errors[0]) + "\n" + message_of(errors[2]);
  EXPECT_NE(both.find("rank 1 did not arrive at 'late exchange' within 0.5 s"), std::string::npos)
      << both;
  EXPECT_EQ(both.find("rank 2 did not"), std::string::npos) << both;
}

TEST(TcpDeadline, CallsThatDoNotMatchAreReportedAsSuch) {
  const auto errors = try_ranks(
      places(2),
      [](Communicator& comm) {
        float x = 0;
        comm.receive(1 - comm.rank(), &x, sizeof x, "both listen");
      },
      0.4);
  const std::string both = message_of(errors[0]) + message_of(errors[1]);
  EXPECT_NE(both.find("all ranks wait for each other"), std::string::npos) << both;
}

TEST(TcpLoss, ARankThatEndsIsNamedAtOnceByAllOthers) {
  std::vector<std::exception_ptr> errors;
  const double seconds = seconds_of([&] {
    errors = try_ranks(places(4), [](Communicator& comm) {
      if (comm.rank() != 2) comm.barrier("never complete");
    });
  });
  EXPECT_LT(seconds, 10);
  for (int rank : {0, 1, 3})
    EXPECT_NE(
        message_of(errors[rank])
            .find("rank 2 ended while rank " + std::to_string(rank) + " was at 'never complete'"),
        std::string::npos)
        << message_of(errors[rank]);
}

TEST(TcpLoss, AnAbortIsToldWithItsCode) {
  const auto errors = try_ranks(places(3), [](Communicator& comm) {
    if (comm.rank() == 2) {
      comm.abort(5);
      return std::this_thread::sleep_for(std::chrono::milliseconds(300));
    }
    comm.barrier("never complete");
  });
  for (int rank : {0, 1})
    EXPECT_NE(message_of(errors[rank]).find("rank 2 aborted with exit code 5"), std::string::npos)
        << message_of(errors[rank]);
}

TEST(TcpLoss, AMessageOfAnotherLengthIsAnError) {
  const auto errors = try_ranks(places(2), [](Communicator& comm) {
    char bytes[8] = {};
    if (comm.rank() == 0) return comm.send(1, bytes, 8, "letter");
    comm.receive(0, bytes, 4, "letter");
  });
  EXPECT_NE(message_of(errors[1]).find("rank 0 sent 8 bytes where rank 1 expected 4"),
            std::string::npos);
}

TEST(TcpCancel, EndsACallOfThisRankFromAnotherThread) {
  const auto errors = try_ranks(places(2), [](Communicator& comm) {
    if (comm.rank() == 1) return std::this_thread::sleep_for(std::chrono::milliseconds(500));
    std::thread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      comm.cancel();
    });
    EXPECT_THROW(comm.barrier("alone"), CommError);
    EXPECT_THROW(comm.barrier("later"), CommError);
    canceller.join();
  });
  EXPECT_EQ(message_of(errors[0]), "");
}

TEST(Meeting, NamesTheRanksThatDoNotCome) {
  auto jobs = places(4);
  jobs.resize(2);
  const auto errors = try_ranks(jobs, [](Communicator&) {}, 0.5);
  EXPECT_NE((message_of(errors[0]) + message_of(errors[1]))
                .find("ranks 2, 3 did not arrive at 'the meeting of the ranks'"),
            std::string::npos)
      << message_of(errors[0]) << message_of(errors[1]);
  const auto alone = try_ranks({places(2)[1]}, [](Communicator&) {}, 0.3);
  EXPECT_NE(message_of(alone[0]).find("rank 0 did not arrive"), std::string::npos)
      << message_of(alone[0]);
}

TEST(Meeting, RefusesRanksThatBelieveInAnotherNumberOfRanks) {
  auto jobs = places(2);
  jobs[1].size = 3;
  for (const std::exception_ptr& error : try_ranks(jobs, [](Communicator&) {}, 20)) {
    EXPECT_NE(message_of(error).find("WORLD_SIZE"), std::string::npos) << message_of(error);
    EXPECT_THROW(std::rethrow_exception(error), Error);
  }
}

TEST(Meeting, RefusesTwoProcessesOfOneRank) {
  auto jobs = places(3);
  jobs[2].rank = 1;
  std::string all;
  for (const std::exception_ptr& error : try_ranks(jobs, [](Communicator&) {}, 20))
    all += message_of(error) + "\n";
  EXPECT_NE(all.find("two processes were started as rank 1"), std::string::npos) << all;
}

TEST(Meeting, StrangersThatDoNotKnowTheSecretAreNotLetIn) {
  auto jobs = places(2);
  jobs[1].secret = "guessed";
  for (const std::exception_ptr& error : try_ranks(jobs, [](Communicator&) {}, 1))
    EXPECT_NE(message_of(error), "");
}

TEST(Meeting, APortInUseIsSaid) {
  const Socket taken = listen_at(resolve("127.0.0.1", 0), "");
  JobPlace job;
  job.size = 2;
  job.master_port = local_address(taken).port();
  const auto errors = try_ranks({job}, [](Communicator&) {}, 1);
  EXPECT_NE(message_of(errors[0]).find("port " + std::to_string(job.master_port) +
                                       " of 127.0.0.1 is in use"),
            std::string::npos);
  EXPECT_THROW(std::rethrow_exception(errors[0]), EnvironmentError);
}

TEST(JobPlace, IsReadAsTorchrunWritesIt) {
  std::map<std::string, std::string> variables{{"RANK", "3"},
                                               {"WORLD_SIZE", "4"},
                                               {"LOCAL_RANK", "1"},
                                               {"LOCAL_WORLD_SIZE", "2"},
                                               {"MASTER_ADDR", "node0"},
                                               {"MASTER_PORT", "29500"},
                                               {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                               {"TORCHELASTIC_RESTART_COUNT", "2"}};
  const auto read = [&] {
    return read_job_place([&](const char* name) -> const char* {
      const auto found = variables.find(name);
      return found == variables.end() ? nullptr : found->second.c_str();
    });
  };
  const JobPlace place = read();
  EXPECT_EQ(std::vector({place.rank, place.size, place.local_rank, place.local_size,
                         place.master_port, place.attempt}),
            (std::vector{3, 4, 1, 2, 29500, 2}));
  EXPECT_EQ(place.master_address, "node0");
  EXPECT_TRUE(place.agent_store);
  const auto with = [&](const char* name, const char* value) {
    const auto before = variables;
    variables[name] = value;
    EXPECT_THROW(read(), ConfigError) << name << "=" << value;
    variables = before;
  };
  with("RANK", "4");
  with("RANK", "-1");
  with("RANK", "one");
  with("WORLD_SIZE", "0");
  with("WORLD_SIZE", "99999999999999");
  with("MASTER_PORT", "70000");
  variables.erase("MASTER_PORT");
  EXPECT_THROW(read(), EnvironmentError);
}

}  // namespace
}  // namespace lockstep
