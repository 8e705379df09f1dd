#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/sample_options.h"

namespace lockstep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The message of the ConfigError that `text` with `overrides` causes.
std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    read_sample(text, overrides);
  } catch (const ConfigError& error) {
    EXPECT_FALSE(error.place().file.empty()) << error.message();
    return error.message();
  }
  return "no error";
}

TEST(ReadFields, KeepsDefaultsForAbsentAndNullKeys) {
  const SampleOptions options = read_sample("train:\n  steps:\noptimizer: null\nfiles: ~\n");
  EXPECT_EQ(options.train.steps, 100);
  EXPECT_EQ(options.optimizer.kind, "adam");
  EXPECT_TRUE(options.files.empty());
}

TEST(ReadFields, ReadsEveryTypeOfField) {
  const SampleOptions options = read_sample(
      "name: a b\ndevice: cpu\nverbose: true\nlimit: -.inf\ngraph: false\nrate: auto\nepochs: "
      "3\nnote: '5'\n"
      "weights: [1, .5, 1e-4]\nfiles: [a.h5, \"b c\"]\ntrain: {steps: 1_000, micro_batch: 8, "
      "clip_norm: 1}\n"
      "optimizer: {kind: sgd, momentum: 0.5}\nevaluate: [{kind: adam, lr: 1}, sgd]\n"
      "groups:\n- pattern: x\n- scale: 2\n");
  EXPECT_EQ(options.name, "a b");
  EXPECT_EQ(options.device, "cpu");
  EXPECT_TRUE(options.verbose);
  EXPECT_EQ(options.limit, -INFINITY);
  EXPECT_EQ(*options.graph, false);
  EXPECT_TRUE(options.rate.is_auto());
  EXPECT_EQ(options.epochs, 3);
  EXPECT_EQ(options.note, "5");
  EXPECT_THAT(options.weights, ElementsAre(1, 0.5, 1e-4));
  EXPECT_THAT(options.files, ElementsAre("a.h5", "b c"));
  EXPECT_EQ(options.train.steps, 1000);
  EXPECT_EQ(*options.train.micro_batch, 8);
  EXPECT_EQ(options.train.clip_norm, 1);
  EXPECT_EQ(options.optimizer.as<SgdOptions>().momentum, 0.5);
  ASSERT_EQ(options.evaluate.size(), 2u);
  EXPECT_EQ(options.evaluate[0].as<AdamOptions>().lr, 1);
  EXPECT_EQ(options.evaluate[1].kind, "sgd");
  ASSERT_EQ(options.groups.size(), 2u);
  EXPECT_EQ(options.groups[0].pattern, "x");
  EXPECT_EQ(options.groups[1].scale, 2);
}

TEST(ReadFields, TakesTheKindAloneAsAChoice) {
  EXPECT_EQ(read_sample("optimizer: sgd").optimizer.as<SgdOptions>().lr, 0.1);
}

TEST(ReadFields, KeepsTheDefaultKindWithoutKind) {
  EXPECT_EQ(read_sample("optimizer: {beta1: 0.5}").optimizer.as<AdamOptions>().beta1, 0.5);
}

TEST(ReadFields, NeverWritesIntoOptionsSharedWithAnotherChoice) {
  const SampleOptions first = read_sample("");
  SampleOptions second = first;
  read_fields(parse_yaml_text("optimizer: {lr: 9}", "t"), second);
  EXPECT_EQ(first.optimizer.as<AdamOptions>().lr, 1e-3);
  EXPECT_EQ(second.optimizer.as<AdamOptions>().lr, 9);
}

TEST(ReadFields, MakesThePartOfTheChosenKind) {
  const SampleOptions options = read_sample("optimizer: {kind: sgd, momentum: 0.5}");
  EXPECT_EQ(part_table().make(options.optimizer)->text, "sgd 0.500000");
}

TEST(ReadFields, NamesTheNearestKeyAndAllKnownOnes) {
  const std::string message = error_of("train:\n  stesp: 3\n");
  EXPECT_THAT(message, HasSubstr("error: unknown key 'train.stesp'"));
  EXPECT_THAT(message, HasSubstr("--> sample.yaml:2:3"));
  EXPECT_THAT(message, HasSubstr("2 |   stesp: 3\n  |   ^"));
  EXPECT_THAT(
      message,
      HasSubstr("did you mean 'steps'? known keys here: steps, micro_batch, clip_norm, dims"));
}

TEST(ReadFields, NamesTheKindThatHasAKey) {
  const std::string message =
      error_of("optimizer: {kind: adam, lr: 1}", {"optimizer.kind=sgd", "optimizer.beta1=0.5"});
  EXPECT_THAT(message, HasSubstr("unknown key 'optimizer.beta1' of optimizer 'sgd'"));
  EXPECT_THAT(message, HasSubstr("optimizer 'adam' has it"));
}

TEST(ReadFields, RecordsTheSourceOfEveryField) {
  Sources sources;
  read_sample("train:\n  steps: 5\noptimizer: {kind: sgd}\n", {"train.clip_norm=2"}, &sources);
  EXPECT_EQ(sources.at("train.steps"), "sample.yaml:2");
  EXPECT_EQ(sources.at("optimizer.kind"), "sample.yaml:3");
  EXPECT_EQ(sources.at("optimizer.lr"), "default");
  EXPECT_EQ(sources.at("train.clip_norm"), "command line: train.clip_norm=2");
  EXPECT_EQ(sources.at("name"), "default");
}

TEST(ReadFields, RefusesAFieldThatIsListedTwice) {
  int64_t a = 0;
  const auto twice = [&](FieldVisitor& visit) {
    visit("a", a);
    visit("a", a);
  };
  EXPECT_THROW(read_fields(Node{}, twice), InternalError);
}

TEST(NearestWord, CountsASwapOfNeighboursOnce) {
  EXPECT_EQ(nearest_word("adma", {"adam", "sgd"}), "adam");
  EXPECT_EQ(nearest_word("lrr", {"lr", "beta1"}), "lr");
  EXPECT_EQ(nearest_word("quux", {"adam", "sgd"}), "");
  EXPECT_EQ(nearest_word(std::string(10'000, 'a'), {"adam"}), "");
}

struct WrongValue {
  const char* text;
  const char* message;
};

class WrongValues : public testing::TestWithParam<WrongValue> {};

TEST_P(WrongValues, AreErrorsWithHelp) {
  EXPECT_THAT(error_of(GetParam().text), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    ReadFields, WrongValues,
    testing::Values(WrongValue{"train: {steps: 3.0}", "must be an integer, got '3.0'"},
                    WrongValue{"train: {steps: 1e3}", "write it with digits alone"},
                    WrongValue{"train: {steps: '3'}", "got the string '3'"},
                    WrongValue{"train: {steps: \"3\"}", "remove the quotes"},
                    WrongValue{"train: {steps: 010}", "remove the leading zero"},
                    WrongValue{"train: {steps: 0x10}", "write it in decimal"},
                    WrongValue{"train: {steps: -00}", "remove the leading zero"},
                    WrongValue{"limit: 010.5", "remove the leading zero"},
                    WrongValue{"train: {steps: 1__0}", "must be an integer"},
                    WrongValue{"train: {steps: _1}", "must be an integer"},
                    WrongValue{"train: {steps: 1_}", "must be an integer"},
                    WrongValue{"train: {steps: '-'}", "must be an integer"},
                    WrongValue{"train: {steps: 99999999999999999999}", "more than 64 bits hold"},
                    WrongValue{"train: {steps: 0}",
                               "'train.steps' is 0, must be between 1 and 1000000"},
                    WrongValue{"train: {clip_norm: 0}", "must be greater than 0"},
                    WrongValue{"limit: 1e999", "outside the range of double"},
                    WrongValue{"rate: .inf", "infinity is refused here"},
                    WrongValue{"limit: .nan", "NaN is refused"},
                    WrongValue{"limit: e5", "must be a number"},
                    WrongValue{"limit: .", "must be a number"},
                    WrongValue{"limit: 1 2", "must be a number, got '1 2'"},
                    WrongValue{"verbose: yes", "write true or false"},
                    WrongValue{"verbose: on", "write true or false"},
                    WrongValue{"verbose: True", "write true or false"},
                    WrongValue{"verbose: 1", "write true or false"},
                    WrongValue{"verbose: 'true'", "got the string 'true'"},
                    WrongValue{"device: gpu", "must be one of 'auto', 'cpu', 'cuda', 'off'"},
                    WrongValue{"device: cdua", "did you mean 'cuda'?"},
                    WrongValue{"name: [a]", "must be text, got a list"},
                    WrongValue{"name: {a: 1}", "must be text, got a map"},
                    WrongValue{"files: a.h5", "write [a.h5]"},
                    WrongValue{"weights: [1, x]", "'weights.1' must be a number"},
                    WrongValue{"weights: [1, null]", "got null"},
                    WrongValue{"weights: {a: 1}", "must be a list of numbers, got a map"},
                    WrongValue{"train: 3", "'train' must be a map, got '3'"},
                    WrongValue{"train: [1]", "must be a map, got a list"},
                    WrongValue{"graph: maybe", "or auto"},
                    WrongValue{"optimizer: adma", "did you mean 'adam'? known kinds: adam, sgd"},
                    WrongValue{"optimizer: [adam]", "must be a map with 'kind'"},
                    WrongValue{"evaluate: [{lr: 1}]", "'evaluate.0' needs 'kind'"},
                    WrongValue{"evaluate: {kind: adam}", "must be a list of maps"},
                    WrongValue{"evaluate: [null]", "needs 'kind'"},
                    WrongValue{"groups: [3]", "'groups.0' must be a map"},
                    WrongValue{"groups: [{patern: x}]", "unknown key 'groups.0.patern'"},
                    WrongValue{"groups: [null]", "must be a map, got null"},
                    WrongValue{"{name:x}", "put a space behind ':'"}));

}  // namespace
}  // namespace lockstep
