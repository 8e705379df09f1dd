// Children, their ends, and that none is left behind.
#include <csignal>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/errors.h"
#include "launcher/ranks/child_process.h"
#include "launcher/ranks/process_tree.h"
#include "launcher/ranks/scratch_folder.h"

namespace lockstep {
namespace {

ChildProcess shell(const char* script) {
  return ChildProcess({{"/bin/sh", "-c", script}, {{"WORD", "7"}}}, {});
}

TEST(ChildProcess, TellsHowItEnded) {
  EXPECT_EQ(shell("exit $WORD").wait().code, 7);
  const ExitStatus killed = shell("kill -9 $$").wait();
  EXPECT_EQ(killed.code, 137);
  EXPECT_EQ(killed.signal, SIGKILL);
  EXPECT_TRUE(shell("read x; test $? = 1").wait().good());  // stdin is empty
}

TEST(ChildProcess, ThatCannotBeStartedIsAnEnvironmentError) {
  EXPECT_THROW(ChildProcess({{"/nowhere/program"}, {}}, {}), EnvironmentError);
}

TEST(KillDescendants, FindsThoseWithASessionOfTheirOwn) {
  adopt_orphans();
  ChildProcess child = shell("setsid sh -c 'sleep 60 & sleep 60' & wait");
  for (int i = 0; i < 200 && descendants(getpid()).size() < 4; ++i) usleep(10'000);
  EXPECT_GE(descendants(getpid()).size(), 4u);
  EXPECT_TRUE(kill_descendants());
  EXPECT_TRUE(descendants(getpid()).empty());
}

TEST(ScratchFolder, IsRemovedByItselfOrByTheNextOne) {
  fs::path path;
  {
    const ScratchFolder scratch;
    path = scratch.path();
    EXPECT_TRUE(fs::is_directory(path));
    const ScratchFolder other;  // must not take the first one for abandoned
    EXPECT_TRUE(fs::is_directory(path));
  }
  EXPECT_FALSE(fs::exists(path));
  fs::create_directories(path);
  write_file_atomic(path / ".lock", "");  // what a killed launcher leaves
  {
    const ScratchFolder next;
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(SignalName, IsThatOfTheManual) {
  EXPECT_EQ(signal_name(SIGSEGV), "SIGSEGV");
  EXPECT_EQ(signal_name(200), "signal 200");
}

}  // namespace
}  // namespace lockstep
