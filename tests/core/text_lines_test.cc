// Lines of messages, and options that are one of a few words.
#include "core/text_lines.h"

#include <gtest/gtest.h>

#include "core/config/run_words.h"

namespace lockstep {
namespace {

TEST(TextLines, TheFirstAndTheLastLineOfAMessage) {
  EXPECT_EQ(first_line("what failed\nframe #0: …\n"), "what failed");
  EXPECT_EQ(first_line("one line"), "one line");
  EXPECT_EQ(first_line(""), "");
  EXPECT_EQ(first_line("\nbehind"), "");
  EXPECT_EQ(last_line("progress\n{\"a\": 1}\n\n"), "{\"a\": 1}");
  EXPECT_EQ(last_line("one line"), "one line");
  EXPECT_EQ(last_line("\n\n"), "");
}

TEST(Words, AnEnumHasOneWordAValueAndUnknownWordsAreErrors) {
  for (const Compute value : {Compute::kFp32, Compute::kBf16, Compute::kFp16, Compute::kBf16Weights,
                              Compute::kFp16Weights})
    EXPECT_EQ(value_of<Compute>(word_of(value)), value);
  EXPECT_EQ(word_of(Compute::kFp16Weights), "fp16_weights");
  EXPECT_EQ(word_of(Reduce::kAllReduce), "allreduce");
  EXPECT_EQ(word_of(DeviceKind::kCuda), "cuda");
  EXPECT_EQ(word_of(GraphUse::kOn), "on");
  EXPECT_THROW(value_of<Reduce>("ring"), ConfigError);
}

}  // namespace
}  // namespace lockstep
