#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/sample_options.h"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string error_of(const std::string& text, const std::vector<std::string>& overrides) {
  try {
    read_sample(text, overrides);
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.place().file, "command line") << error.message();
    return error.message();
  }
  return "no error";
}

TEST(Overrides, SetValuesInAndOutsideTheFile) {
  const SampleOptions options =
      read_sample("train: {steps: 5}",
                  {"train.steps=7", "+train.clip_norm=2", "++name=x", "optimizer.lr=1e-4"});
  EXPECT_EQ(options.train.steps, 7);
  EXPECT_EQ(options.train.clip_norm, 2);
  EXPECT_EQ(options.name, "x");
  EXPECT_EQ(options.optimizer.as<AdamOptions>().lr, 1e-4);
}

TEST(Overrides, AreAppliedInOrder) {
  EXPECT_EQ(read_sample("", {"train.steps=7", "train.steps=8"}).train.steps, 8);
}

TEST(Overrides, TakeListsAndMapsWithAndWithoutSpaces) {
  const SampleOptions options = read_sample(
      "", {"train.dims=[1, 2, 4]", "weights=[1,.5]", "files=[]",
           "evaluate=[{kind: sgd, lr: 2}, adam]", "groups=[ { pattern:x , scale : 3 } ]"});
  EXPECT_THAT(options.train.dims, ElementsAre(1, 2, 4));
  EXPECT_THAT(options.weights, ElementsAre(1, 0.5));
  EXPECT_TRUE(options.files.empty());
  ASSERT_EQ(options.evaluate.size(), 2u);
  EXPECT_EQ(options.evaluate[0].as<SgdOptions>().lr, 2);
  EXPECT_EQ(options.groups[0].pattern, "x");
  EXPECT_EQ(options.groups[0].scale, 3);
}

TEST(Overrides, TakeTextWithSpacesQuotesAndEscapes) {
  EXPECT_EQ(read_sample("", {"name=my run"}).name, "my run");
  EXPECT_EQ(read_sample("", {"name= padded "}).name, "padded");
  EXPECT_EQ(read_sample("", {"name=' kept '"}).name, " kept ");
  EXPECT_EQ(read_sample("", {"name=a=b:c"}).name, "a=b:c");
  EXPECT_EQ(read_sample("", {R"(name='it\'s')"}).name, "it's");
  EXPECT_EQ(read_sample("", {R"(name="a \"b\" \\")"}).name, "a \"b\" \\");
  EXPECT_EQ(read_sample("", {R"(name=a\,b\[c\])"}).name, "a,b[c]");
  EXPECT_EQ(read_sample("", {R"(name=a\b)"}).name, "a\\b");
  EXPECT_EQ(read_sample("", {"name=''"}).name, "");
  EXPECT_EQ(read_sample("", {"name='null'"}).name, "null");
  EXPECT_EQ(read_sample("", {"files=[\"a, b\", 'c]']"}).files,
            (std::vector<std::string>{"a, b", "c]"}));
}

TEST(Overrides, QuotedNumbersAreText) {
  EXPECT_THAT(error_of("", {"train.steps='3'"}), HasSubstr("got the string '3'"));
}

TEST(Overrides, NullAndTildeAndNothingGoBackToTheDefault) {
  for (const char* text :
       {"train.steps=null", "train.steps=", "~train.steps", "train=null", "~train"})
    EXPECT_EQ(read_sample("train: {steps: 5}", {text}).train.steps, 100) << text;
  EXPECT_EQ(read_sample("optimizer: {kind: sgd}", {"optimizer=null"}).optimizer.kind, "adam");
}

TEST(Overrides, ReachIntoLists) {
  const std::string text = "evaluate: [{kind: sgd, lr: 2}, {kind: adam}]";
  EXPECT_EQ(read_sample(text, {"evaluate.0.lr=3"}).evaluate[0].as<SgdOptions>().lr, 3);
  EXPECT_EQ(read_sample(text, {"evaluate.2.kind=sgd"}).evaluate.size(), 3u);
  EXPECT_EQ(read_sample(text, {"~evaluate.0"}).evaluate[0].kind, "adam");
  EXPECT_THAT(error_of(text, {"evaluate.5.lr=3"}), HasSubstr("element 5 of a list of 2"));
  EXPECT_THAT(error_of(text, {"evaluate.x.lr=3"}), HasSubstr("name an element by its number"));
  EXPECT_THAT(error_of(text, {"evaluate.99999999999999999999.lr=3"}), HasSubstr("of a list of 2"));
  EXPECT_EQ(read_sample("", {"groups.0.scale=4"}).groups[0].scale, 4);
}

TEST(Overrides, SetKeysBesideAKindGivenByNameAlone) {
  EXPECT_EQ(
      read_sample("optimizer: sgd", {"optimizer.momentum=0.5"}).optimizer.as<SgdOptions>().momentum,
      0.5);
}

TEST(Overrides, AMapMergesUnlessItsKindDiffers) {
  const std::string text = "optimizer: {kind: sgd, lr: 5}";
  EXPECT_EQ(read_sample(text, {"optimizer={momentum: 0.5}"}).optimizer.as<SgdOptions>().lr, 5);
  EXPECT_EQ(
      read_sample(text, {"optimizer={kind: adam, beta1: 0.5}"}).optimizer.as<AdamOptions>().lr,
      1e-3);
  EXPECT_EQ(read_sample(text, {"optimizer=adam"}).optimizer.as<AdamOptions>().lr, 1e-3);
}

TEST(Overrides, KeysOfTheOldKindAreErrorsAfterASwitch) {
  try {
    read_sample("optimizer: {kind: sgd, momentum: 0.5}", {"optimizer.kind=adam"});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.message(), HasSubstr("unknown key 'optimizer.momentum' of optimizer 'adam'"));
    EXPECT_EQ(error.place().file, "sample.yaml");
  }
}

TEST(Overrides, ShowACaretUnderWhatIsWrong) {
  const std::string message = error_of("", {"optimizer.lrr=3"});
  EXPECT_THAT(message, HasSubstr("--> command line\n | optimizer.lrr=3\n |           ^\n"));
  EXPECT_THAT(message, HasSubstr("unknown key 'optimizer.lrr'"));
  EXPECT_THAT(message, HasSubstr("did you mean 'lr'?"));
  EXPECT_THAT(error_of("", {"train.steps=abc"}), HasSubstr(" | train.steps=abc\n |             ^"));
  EXPECT_THAT(error_of("", {"train.dims=[1, x]"}),
              HasSubstr(" | train.dims=[1, x]\n |                ^"));
}

struct BrokenOverride {
  const char* text;
  const char* message;
};

class BrokenOverrides : public testing::TestWithParam<BrokenOverride> {};

TEST_P(BrokenOverrides, AreErrorsOnTheCommandLine) {
  EXPECT_THAT(error_of("", {GetParam().text}), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Overrides, BrokenOverrides,
    testing::Values(BrokenOverride{"", "a key is missing here"},
                    BrokenOverride{"=3", "a key is missing here"},
                    BrokenOverride{"name", "no '=' behind the key"},
                    BrokenOverride{"a..b=3", "a key is missing here"},
                    BrokenOverride{"a.=3", "a key is missing here"},
                    BrokenOverride{"+++name=3", "a key is missing here"},
                    BrokenOverride{"~name=3", "'~' takes a key alone"},
                    BrokenOverride{"na me=3", "no '=' behind the key"},
                    BrokenOverride{"weights=[1, 2", "']' or ',' is missing here"},
                    BrokenOverride{"weights=1,2", "write [1, 2] for a list"},
                    BrokenOverride{"weights=[1,,2]", "a value is missing here"},
                    BrokenOverride{"weights=[1,]", "a value is missing here"},
                    BrokenOverride{"weights=[1] 2", "behind the value"},
                    BrokenOverride{"name=a]", "put the text in quotes"},
                    BrokenOverride{"name='a", "the quote is not closed"},
                    BrokenOverride{"name='a' b", "behind the value"},
                    BrokenOverride{"name=${x}", "behind the value"},
                    BrokenOverride{"optimizer={lr 1}", "':' is missing here"},
                    BrokenOverride{"optimizer={lr: 1", "'}' or ',' is missing here"},
                    BrokenOverride{"optimizer={lr: 1, lr: 2}", "given twice"},
                    BrokenOverride{"optimizer={: 1}", "a key is missing here"},
                    BrokenOverride{"optimizer={lr:}", "a value is missing here"},
                    BrokenOverride{"name=\xff", "not valid UTF-8"},
                    BrokenOverride{"name=a\nb", "a control character"},
                    BrokenOverride{"~nmae", "unknown key 'nmae'"},
                    BrokenOverride{"nmae=null", "did you mean 'name'"},
                    BrokenOverride{"train.steps.x=3",
                                   "'train.steps' must be an integer, got a map"}));

TEST(Overrides, AreRefusedWhenNestedTooDeep) {
  EXPECT_THAT(error_of("", {"weights=" + std::string(5000, '[')}),
              HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(error_of("", {"name=" + std::string(100'000, 'x')}),
              HasSubstr("an override of 100005 bytes"));
}

}  // namespace
}  // namespace lockstep
