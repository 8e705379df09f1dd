#include "interop/trtexec.h"

#include <gtest/gtest.h>

#include "core/errors.h"

namespace lockstep {
namespace {

TEST(Trtexec, NamesTheThreeShapesOfEveryInputWithAnOpenBatch) {
  const std::vector<std::string> words = trtexec_words(
      "net.onnx", {{"x", {-1, 3, 8, 8}}, {"t", {-1}}, {"guidance_scale", {}}}, {1, 4, 16}, "fp16");
  const std::vector<std::string> wanted = {"trtexec",
                                           "--onnx=net.onnx",
                                           "--saveEngine=net.onnx.engine",
                                           "--minShapes=x:1x3x8x8,t:1",
                                           "--optShapes=x:4x3x8x8,t:4",
                                           "--maxShapes=x:16x3x8x8,t:16",
                                           "--fp16",
                                           "--skipInference"};
  EXPECT_EQ(words, wanted);
}

TEST(Trtexec, RefusesBatchesThatDoNotAscend) {
  EXPECT_EQ(parse_batch_profile("2,2,9").most, 9);
  for (const char* text :
       {"", "1", "1,2", "1,2,3,4", "0,1,2", "3,2,1", "1,2,x", "1,2,3 ", "-1,2,3", "1,,3"})
    EXPECT_THROW(parse_batch_profile(text), ConfigError) << text;
}

TEST(Trtexec, QuotesWordsThatAShellWouldSplit) {
  EXPECT_EQ(shell_text({"a", "--b=c/d.e", "two words", "it's"}),
            "a --b=c/d.e 'two words' 'it'\\''s'");
}

TEST(Programs, ReportTheirExitCodeOrSignal) {
  const auto shell = find_program("sh");
  ASSERT_TRUE(shell);
  EXPECT_EQ(run_program(*shell, {"sh", "-c", "exit 7"}), 7);
  EXPECT_EQ(run_program(*shell, {"sh", "-c", "kill -9 $$"}), 128 + 9);
  EXPECT_FALSE(find_program("no-such-program-anywhere"));
  EXPECT_THROW(run_program("/no/such/program", {"program"}), EnvironmentError);
}

}  // namespace
}  // namespace lockstep
