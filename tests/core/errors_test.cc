#include "core/errors.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(Error, PrintsFactPlaceCaretAndHelp) {
  const ConfigError error("unknown key 'lrr'", "did you mean 'lr'?", {"a.yaml", 12, 3, "  lrr: 1"});
  EXPECT_EQ(error.message(),
            "error: unknown key 'lrr'\n  --> a.yaml:12:3\n12 |   lrr: 1\n   |   ^\nhelp: did you "
            "mean 'lr'?");
}

TEST(Error, KeepsTheCaretUnderTheColumnOfAClippedLine) {
  const ConfigError error("x", "", {"a.yaml", 1, 1005, "0123456789", 1000});
  EXPECT_EQ(error.message(), "error: x\n  --> a.yaml:1:1005\n1 | ...0123456789\n  |        ^");
}

TEST(Error, AddsContextInnermostFirst) {
  try {
    with_context("loading the data", [] {
      with_context("reading train-003.h5", [] { throw DataError("the chunk is damaged"); });
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "the chunk is damaged (while reading train-003.h5, while loading the data)");
    EXPECT_EQ(error.code(), ExitCode::kData);
  }
}

TEST(Error, KeepsItsClassThroughContext) {
  EXPECT_THROW(with_context("x", [] { throw CheckpointError("gone"); }), CheckpointError);
  EXPECT_EQ(with_context("x", [] { return 3; }), 3);
}

TEST(Error, NeverSendsControlCharactersToTheTerminal) {
  const DataError error("tensor '\x1b[2J\xc2\x9b\x7f'", "first\nsecond", {"f\x07", 1, 1, "a\tb"});
  const std::string message = error.message();
  for (const char c : message)
    EXPECT_TRUE(c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
  EXPECT_NE(message.find("help: first\nsecond"), std::string::npos);
  EXPECT_EQ(message.find('\xc2'), std::string::npos);
}

TEST(Error, KeepsTheFirstPlace) {
  DataError error("x");
  error.set_place({"a"});
  error.set_place({"b"});
  EXPECT_EQ(error.place().file, "a");
}

TEST(Error, MapsEachClassToItsExitCode) {
  EXPECT_EQ(static_cast<int>(ConfigError("x").code()), 2);
  EXPECT_EQ(static_cast<int>(EnvironmentError("x").code()), 3);
  EXPECT_EQ(static_cast<int>(DataError("x").code()), 4);
  EXPECT_EQ(static_cast<int>(CheckpointError("x").code()), 5);
  EXPECT_EQ(static_cast<int>(CommError("x").code()), 6);
  EXPECT_EQ(static_cast<int>(NumericError("x").code()), 7);
  EXPECT_EQ(static_cast<int>(LockedError("x").code()), 8);
  EXPECT_EQ(static_cast<int>(InternalError("x").code()), 70);
}

}  // namespace
}  // namespace lockstep
