#include "core/run_folder.h"

#include <set>
#include <thread>
#include <vector>

#include "core/errors.h"
#include "core/files.h"
#include "tests/core/temporary_folder.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class RunFolders : public TemporaryFolder {
 protected:
  fs::path make_run(const std::string& name) const {
    fs::create_directories(folder_ / name);
    write(name + "/config.yaml", "");
    write(name + "/plan.json", "");
    return folder_ / name;
  }
};

TEST_F(RunFolders, OfTheSameSecondGetDifferentNames) {
  std::vector<std::thread> threads;
  std::vector<fs::path> made(40);
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (size_t i = t; i < made.size(); i += 4)
        made[i] = RunFolder::make_new(folder_, "sudoku").root;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<fs::path>(made.begin(), made.end()).size(), made.size());
  for (const fs::path& path : made) EXPECT_TRUE(fs::is_directory(path));
}

TEST_F(RunFolders, RefuseNamesThatLeaveTheFolder) {
  EXPECT_THROW(RunFolder::make_new(folder_, "../x"), ConfigError);
  EXPECT_THROW(RunFolder::make_new(folder_, ""), ConfigError);
  EXPECT_THROW(RunFolder::make_new(write("file", ""), "x"), EnvironmentError);
}

TEST_F(RunFolders, AreFoundFromThemselvesAndFromAbove) {
  const fs::path run = make_run("sudoku/20260101-120000");
  for (const fs::path& path : {run, run.parent_path(), folder_})
    EXPECT_EQ(RunFolder::find(path).root, run);
}

TEST_F(RunFolders, LoseWhatWasBeingWrittenAndNothingElse) {
  const RunFolder run{make_run("sudoku/20260101-120000")};
  for (const char* kept : {"checkpoints/step-00000005", "samples"})
    fs::create_directories(run.root / kept);
  write_file_atomic(run.lock(), "1 host\n");
  fs::create_directories(run.checkpoints() / ".step-00000010");
  write_file_atomic(run.checkpoints() / ".step-00000010" / "state.json", "{}");
  write_file_atomic(run.root / ".tmp-12-3-config.yaml", "half");
  run.remove_unfinished();
  EXPECT_FALSE(fs::exists(run.checkpoints() / ".step-00000010"));
  EXPECT_FALSE(fs::exists(run.root / ".tmp-12-3-config.yaml"));
  for (const fs::path& kept :
       {run.checkpoint(5), run.samples(), run.lock(), run.config(), run.plan()})
    EXPECT_TRUE(fs::exists(kept)) << kept;
}

TEST_F(RunFolders, TheNewestIsMeantFromAbove) {
  make_run("sudoku/20260101-120000");
  make_run("sudoku/20260101-120000-9");
  const fs::path newest = make_run("sudoku/20260101-120000-10");
  fs::create_directories(folder_ / "sudoku/20270101-120000");  // no run was started here
  EXPECT_EQ(RunFolder::find(folder_).root, newest);
  const fs::path later = make_run("images/20260102-000000");
  EXPECT_EQ(RunFolder::find(folder_).root, later);
}

TEST_F(RunFolders, ThatHoldNoRunAreConfigErrors) {
  EXPECT_THROW(RunFolder::find(folder_), ConfigError);
  EXPECT_THROW(RunFolder::find(folder_ / "none"), ConfigError);
}

TEST(RunFolder, NamesStepsSoThatTheySort) {
  EXPECT_EQ(RunFolder::step_name(300), "step-00000300");
  EXPECT_EQ(RunFolder::step_name(1234567890), "step-1234567890");
  EXPECT_EQ(RunFolder{"r"}.rank_log(0, 3), "r/logs/attempt-0/rank-3.log");
  EXPECT_EQ(RunFolder{"r"}.checkpoint(300), "r/checkpoints/step-00000300");
}

}  // namespace
}  // namespace lockstep
