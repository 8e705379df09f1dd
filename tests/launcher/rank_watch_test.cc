// Pages and error files of ranks, without ranks.
#include "launcher/ranks/rank_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/files.h"

namespace lockstep {
namespace {

class RankWatchTest : public testing::Test {
 protected:
  RankWatchTest() : run_{fs::path(testing::TempDir()) / "rank_watch"} {
    fs::remove_all(run_.root);
    make_folders(run_.attempt(0));
  }
  ~RankWatchTest() override { fs::remove_all(run_.root); }
  RunFolder run_;
};

TEST_F(RankWatchTest, SeesRanksAsTheyCome) {
  RankWatch watch(run_, 0, 2, 60);
  HeartbeatPage first(run_.rank_page(0, 0), true);
  watch.poll();
  EXPECT_FALSE(watch.all_seen());
  HeartbeatPage second(run_.rank_page(0, 1), true);
  second.write(7, Phase::kCompute);
  watch.poll();
  EXPECT_TRUE(watch.all_seen());
  EXPECT_EQ(watch.step(), 7);
  EXPECT_FALSE(watch.hung());
}

TEST_F(RankWatchTest, NamesTheMostSilentRank) {
  RankWatch watch(run_, 0, 3, 0.1);  // and a second of slack
  HeartbeatPage a(run_.rank_page(0, 0), true), b(run_.rank_page(0, 1), true),
      c(run_.rank_page(0, 2), true);
  b.write(3, Phase::kData);
  usleep(50'000);
  a.write(3, Phase::kCommunicate);
  c.write(3, Phase::kDone);  // may be silent for ever
  watch.poll();
  EXPECT_FALSE(watch.hung());
  usleep(1'200'000);
  watch.poll();
  const auto hung = watch.hung();
  ASSERT_TRUE(hung);
  EXPECT_EQ(hung->rank, 1);
  EXPECT_EQ(hung->page.phase, Phase::kData);
}

TEST_F(RankWatchTest, NoticesARankThatNeverCame) {
  RankWatch watch(run_, 0, 1, 0.1);
  usleep(1'200'000);
  watch.poll();
  ASSERT_TRUE(watch.hung());
  EXPECT_FALSE(watch.hung()->seen);
  EXPECT_LT(watch.silent_seconds(*watch.hung()), 10);
}

TEST_F(RankWatchTest, SortsErrorsByTimeAndLeavesOutDamagedOnes) {
  RankWatch watch(run_, 0, 4, 60);
  const auto write = [&](int rank, const char* text) {
    write_file_atomic(run_.attempt(0) / ("rank-" + std::to_string(rank) + ".error.json"), text);
  };
  write(0, R"({"rank":0,"code":6,"message":"error: a","monotonic_seconds":9})");
  write(1, R"({"rank":1,"code":4,"mess)");
  write(2, R"({"rank":2,"code":4,"message":"error: b","fact":"b","monotonic_seconds":8,"step":3})");
  write(3, R"({"rank":3,"code":"four","message":"error: b"})");
  const auto errors = watch.errors();
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[0].rank, 2);
  EXPECT_EQ(errors[0].step, 3);
  EXPECT_EQ(errors[1].fact, "error: a");
}

}  // namespace
}  // namespace lockstep
