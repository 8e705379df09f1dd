#include "core/program_name.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace lockstep {
namespace {

class ProgramName : public ::testing::Test {
 protected:
  ~ProgramName() override { unsetenv("LOCKSTEP_CALLED_AS"); }
};

TEST_F(ProgramName, StandsInPrintedCommandsAsItWasTyped) {
  set_program_name("scripts/lockstep");
  EXPECT_EQ(with_program_name("go on: lockstep resume runs/x (or `lockstep logs runs/x`)"),
            "go on: scripts/lockstep resume runs/x (or `scripts/lockstep logs runs/x`)");
}

TEST_F(ProgramName, LeavesProseAndFilesAlone) {
  set_program_name("./build/bin/lockstep");
  const std::string text =
      "a defect of lockstep; liblockstep.so, lockstep-worker plan, format lockstep-dataset";
  EXPECT_EQ(with_program_name(text), text);
}

TEST_F(ProgramName, IsTheNameAloneWhereThePathFoundIt) {
  const std::string text = "see lockstep --help";
  EXPECT_EQ(with_program_name(text), text);
  set_program_name("lockstep");
  EXPECT_EQ(with_program_name(text), text);
}

TEST_F(ProgramName, IsQuotedForAShell) {
  set_program_name("/my files/lockstep");
  EXPECT_EQ(with_program_name("lockstep runs"), "'/my files/lockstep' runs");
}

TEST(ShellQuoted, GivesEachWordAsAShellTakesIt) {
  EXPECT_EQ(shell_quoted("runs/a-1_b.c"), "runs/a-1_b.c");
  EXPECT_EQ(shell_quoted("a b"), "'a b'");
  EXPECT_EQ(shell_quoted("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quoted(""), "''");
  EXPECT_EQ(shell_quoted("$HOME"), "'$HOME'");
  EXPECT_EQ(shell_quoted("größe"), "größe");
}

}  // namespace
}  // namespace lockstep
