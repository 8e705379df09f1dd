// Who is to blame, given what the launcher saw.
#include "launcher/ranks/failure.h"

#include <csignal>
#include <fstream>

#include <gtest/gtest.h>

namespace lockstep {
namespace {

RankState state(int rank, int64_t step, double seconds, Phase phase = Phase::kCommunicate) {
  RankState out;
  out.rank = rank;
  out.seen = true;
  out.page = {1000 + rank, step, phase, seconds, 1 << 20};
  return out;
}

RankError complaint(int rank, int code, double seconds) {
  return {rank,
          code,
          "error: from rank " + std::to_string(rank),
          "from rank " + std::to_string(rank),
          seconds,
          5};
}

Evidence evidence() {
  Evidence out;
  out.ranks = {state(0, 5, 100), state(1, 5, 100), state(2, 5, 100)};
  out.starter = {6, 0};
  out.starter_name = "mpirun";
  out.timeout_seconds = 60;
  return out;
}

const char* const kKilled =
    "mpirun noticed that process rank 2 with PID 77 on node n1 exited on signal 9 (Killed).";
const char* const kReturned =
    "mpirun detected that one or more processes exited with non-zero status, thus causing\nthe job "
    "to be terminated. The "
    "first process to do so was:\n\n  Process name: [[17361,1],1]\n  Exit code:    42\n";

TEST(Failure, IsTheFirstErrorThatIsNotAboutPeers) {
  Evidence seen = evidence();
  seen.errors = {complaint(0, 6, 100.0), complaint(2, 4, 100.1), complaint(1, 7, 100.2)};
  const Failure cause = find_cause(seen);
  EXPECT_EQ(cause.rank, 2);
  EXPECT_EQ(cause.exit_code(), ExitCode::kData);
  EXPECT_FALSE(cause.may_restart());
  EXPECT_EQ(cause.message, "error: from rank 2");
}

TEST(Failure, IsAKilledRankRatherThanItsPeersComplaints) {
  Evidence seen = evidence();
  seen.errors = {complaint(0, 6, 100.0), complaint(1, 6, 100.1)};
  seen.starter_log = kKilled;
  const Failure cause = find_cause(seen);
  EXPECT_EQ(cause.rank, 2);
  EXPECT_EQ(cause.signal, SIGKILL);
  EXPECT_EQ(cause.exit_code(), ExitCode::kRanks);
  EXPECT_TRUE(cause.may_restart());
  EXPECT_EQ(cause.fact, "rank 2 was killed by SIGKILL after step 5 in phase 'communicate'");
}

TEST(Failure, NamesMemoryIfTheKernelKilledForIt) {
  Evidence seen = evidence();
  seen.starter_log = kKilled;
  seen.kills_for_memory = 1;
  EXPECT_NE(find_cause(seen).fact.find("ran out of memory"), std::string::npos);
  EXPECT_NE(find_cause(seen).help.find("train.micro_batch"), std::string::npos);
}

TEST(Failure, IsTheRankThatFellSilentLongBeforeItsPeersGaveUp) {
  Evidence seen = evidence();
  seen.ranks[1] = state(1, 5, 40, Phase::kData);  // silent for 60 s when the others complain
  seen.errors = {complaint(0, 6, 100.0), complaint(2, 6, 100.1)};
  const Failure cause = find_cause(seen);
  EXPECT_EQ(cause.kind, Failure::Kind::kHang);
  EXPECT_EQ(cause.rank, 1);
  EXPECT_EQ(cause.fact, "rank 1 gave no sign of life for 60 s after step 5 in phase 'data'");
}

TEST(Failure, IsTheFirstComplaintIfAllRanksWereAlive) {
  Evidence seen = evidence();
  seen.errors = {complaint(2, 6, 100.0), complaint(0, 6, 100.1)};
  EXPECT_EQ(find_cause(seen).rank, 2);
  EXPECT_TRUE(find_cause(seen).may_restart());
}

TEST(Failure, IsTheRankThatMpirunNamesIfNobodySpoke) {
  Evidence seen = evidence();
  seen.starter_log = kReturned;
  const Failure cause = find_cause(seen);
  EXPECT_EQ(cause.rank, 1);
  EXPECT_EQ(cause.code, 42);
  EXPECT_EQ(cause.fact, "rank 1 exited with code 42");
  EXPECT_EQ(cause.exit_code(), ExitCode::kRanks);
}

TEST(Failure, OfAMissingLibraryIsTheEnvironments) {
  Evidence seen = evidence();
  seen.direct = true;
  seen.starter = {127, 0};
  EXPECT_EQ(find_cause(seen).exit_code(), ExitCode::kEnvironment);
}

TEST(Failure, IsMpirunIfItWasKilledItself) {
  Evidence seen = evidence();
  seen.starter = {137, SIGKILL};
  const Failure cause = find_cause(seen);
  EXPECT_EQ(cause.rank, -1);
  EXPECT_EQ(cause.fact, "mpirun was killed by SIGKILL");
  EXPECT_TRUE(cause.may_restart());
}

TEST(Failure, IsARankIfMpirunPassesOnItsSignalWithoutItsName) {
  Evidence seen = evidence();
  seen.starter = {137, 0};
  Failure cause = find_cause(seen);
  EXPECT_EQ(cause.fact, "a rank was killed by SIGKILL; mpirun did not say which");
  EXPECT_EQ(cause.signal, SIGKILL);
  EXPECT_EQ(cause.rank, -1);
  EXPECT_TRUE(cause.may_restart());

  seen.ranks[1] = RankState{};
  seen.ranks[1].rank = 1;
  cause = find_cause(seen);
  EXPECT_EQ(cause.rank, 1);
  EXPECT_EQ(cause.fact, "rank 1 was killed by SIGKILL before its first step");
}

TEST(Failure, OfARankThatNeverCameSaysHowLongItWasAwaited) {
  Evidence seen = evidence();
  RankState never;
  never.rank = 1;
  seen.hung = never;
  seen.hung_seconds = 66.2;
  EXPECT_EQ(find_cause(seen).fact, "rank 1 did not start within 66 s");
}

TEST(LastLines, LeaveOutTheProgressBarsOlderStates) {
  const std::string path = testing::TempDir() + "last_lines.log";
  std::ofstream(path) << "one\ntwo\n\rstep 1\rstep 2\rstep 3\nfour\r\n\nfive";
  EXPECT_EQ(last_lines(path, 3), (std::vector<std::string>{"step 3", "four", "five"}));
  EXPECT_EQ(last_lines(path, 99).size(), 5u);
  EXPECT_TRUE(last_lines(path + ".missing", 3).empty());
}

}  // namespace
}  // namespace lockstep
