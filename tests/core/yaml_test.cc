#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "tests/core/sample_options.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

const fs::path kFolder = fs::path(LOCKSTEP_SOURCE_DIR) / "tests/core";

struct Broken {
  std::string file, place, message;
};

std::string trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? ""
                                    : text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

std::vector<Broken> broken_configs() {
  std::vector<Broken> out;
  std::ifstream file(kFolder / "broken_configs/expected.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const size_t one = line.find('|'), two = line.find('|', one + 1);
    out.push_back({trim(line.substr(0, one)), trim(line.substr(one + 1, two - one - 1)),
                   trim(line.substr(two + 1))});
  }
  return out;
}

TEST(BrokenConfigs, AreErrorsThatNameFilePlaceAndCure) {
  const std::vector<Broken> cases = broken_configs();
  ASSERT_GE(cases.size(), 35u);
  const fs::path before = fs::current_path();
  fs::current_path(kFolder);  // places then show the short names of expected.txt
  for (const Broken& broken : cases) {
    const std::string path = "broken_configs/" + broken.file + ".yaml";
    try {
      SampleOptions options;
      read_fields(parse_yaml_file(path), options);
      ADD_FAILURE() << path << " was accepted";
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.message(), HasSubstr(broken.message)) << path;
      const Place& place = error.place();
      EXPECT_EQ(place.file.substr(0, 15), "broken_configs/") << path;
      EXPECT_GT(place.line, 0) << path;
      const std::string where = std::to_string(place.line) + ":" + std::to_string(place.column);
      EXPECT_EQ(where, broken.place.empty() ? where : broken.place) << error.message();
    }
  }
  fs::current_path(before);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kMostSeconds = 1;
#else
constexpr double kMostSeconds = 0.05;
#endif

TEST(Yaml, RefusesBombsQuickly) {
  const auto repeat = [](const std::string& text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  std::string keys, laughs = "a0: &a0 [x, x, x]\n";
  for (int i = 0; i < 90'000; ++i) keys += "k" + std::to_string(i) + ": 1\n";
  for (int i = 1; i < 9; ++i) {
    const std::string alias = "*a" + std::to_string(i - 1);
    laughs +=
        "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + alias + "," + alias + "]\n";
  }
  const std::vector<std::string> bombs = {laughs,
                                          "&x [*x]",
                                          keys,
                                          repeat("[", 1'000'000),
                                          repeat("{", 1'000'000),
                                          repeat("[\n", 500'000),
                                          repeat("- ", 500'000),
                                          repeat("? ", 500'000),
                                          repeat("a: [\n", 100'000),
                                          "a: [" + repeat("1,\n", 300'000) + "]",
                                          "a: [" + repeat("'',", 20'000) + "]",
                                          "a: " + repeat("[x,", 900),
                                          repeat("-\n", 500'000),
                                          repeat("!", 60'000),
                                          repeat("&a ", 20'000),
                                          repeat("|", 60'000),
                                          repeat("a", 1'048'577),
                                          repeat("---\n", 200'000)};
  for (const std::string& bomb : bombs) {
    // The best of three in processor time: the machine may be busy with something else.
    double best = 1e9;
    for (int i = 0; i < 3 && best > kMostSeconds; ++i) {
      const std::clock_t begin = std::clock();
      EXPECT_THROW(read_sample(bomb), ConfigError) << bomb.substr(0, 40);
      best = std::min(best, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
    }
    EXPECT_LT(best, kMostSeconds) << bomb.substr(0, 40);
  }
}

TEST(Yaml, EndsEveryMutantWithAConfigOrAConfigError) {
  const std::string base =
      "# a config\ninclude: []\nname: \"a \\u00e9\"\ntrain: {steps: 1_000, dims: [1, "
      "2]}\noptimizer:\n  kind: sgd\n  lr: 1e-4\n"
      "evaluate:\n  - adam\n  - {kind: sgd, momentum: .5}\ngroups:\n- pattern: |\n    x\n    y\n- "
      "scale: 3\nnote: 'it''s'\n";
  const std::string kinds = "[]{}:,-?&*!|>'\"%@`#\n \t\\ax0.~<=\xff\x00";
  std::mt19937 random(7);
  for (int round = 0; round < 4000; ++round) {
    std::string text = base;
    for (unsigned edits = 1 + random() % 4; edits > 0; --edits) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text.erase(at, 1 + random() % 5);
          break;
        case 1:
          text.insert(at, 1 + random() % 3, kinds[random() % kinds.size()]);
          break;
        default:
          text[at] = kinds[random() % kinds.size()];
      }
      if (text.empty()) text = base;
    }
    try {
      SampleOptions options = read_sample(text);
      ASSERT_EQ(print_json(visitor_of(options)).front(), '{');
    } catch (const ConfigError& error) {
      ASSERT_FALSE(error.place().file.empty()) << error.message() << "\n" << text;
    }
  }
}

TEST(Yaml, AcceptsWhatPeopleWrite) {
  EXPECT_EQ(read_sample("").name, "run");
  EXPECT_EQ(read_sample("# only a comment\n").name, "run");
  EXPECT_EQ(read_sample("---\nname: x\n").name, "x");
  EXPECT_EQ(read_sample("---\nname: x\n...\n").name, "x");
  EXPECT_EQ(read_sample("\xEF\xBB\xBFname: x\n").name, "x");
  EXPECT_EQ(read_sample("name: x\r\ntrain:\r\n  steps: 3\r\n").train.steps, 3);
  EXPECT_EQ(read_sample("name: 'a # b'  # comment\n").name, "a # b");
  EXPECT_EQ(read_sample("name: it's 5% [ok]\n").name, "it's 5% [ok]");
  EXPECT_EQ(read_sample("name: é€😀\n").name, "é€😀");
  EXPECT_EQ(read_sample("name: |\n  a\n  b\n").name, "a\nb\n");
  EXPECT_EQ(read_sample("files:\n- a\n- b\n").files.size(), 2u);
}

TEST(Yaml, CountsColumnsInCharacters) {
  try {
    read_sample("{name: \"h\xC3\xA9\xC3\xA9\", stesp: 3}");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.place().column, 15);
  }
}

TEST(Yaml, ShowsAWindowOfALongLine) {
  try {
    read_sample("weights: [" + std::string(30'000, ' ') + "x" + std::string(1000, ' ') + "]");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.place().column, 30'011);
    EXPECT_LT(error.message().size(), 600u);
    EXPECT_EQ(
        error.place().text[static_cast<size_t>(error.place().column - 1 - error.place().skipped)],
        'x');
  }
}

class Includes : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("includes-" + std::to_string(::getpid()));
    fs::create_directories(folder_ / "shared");
  }
  void TearDown() override { fs::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
  }
  SampleOptions read(const std::string& name, Sources* sources = nullptr) {
    SampleOptions options;
    read_fields(parse_yaml_file((folder_ / name).string()), options, "", sources);
    return options;
  }
  fs::path folder_;
};

TEST_F(Includes, LieUnderTheIncludingFileInTheirOrder) {
  write("shared/base.yaml", "include: more.yaml\nname: base\ntrain: {steps: 5}\n");
  write("shared/more.yaml", "name: more\ntrain: {steps: 4, clip_norm: 4}\n");
  write("second.yaml", "train: {steps: 6}\n");
  write("top.yaml", "include: [shared/base.yaml, second.yaml]\nnote: top\n");
  Sources sources;
  const SampleOptions options = read("top.yaml", &sources);
  EXPECT_EQ(options.name, "base");
  EXPECT_EQ(options.note, "top");
  EXPECT_EQ(options.train.steps, 6);
  EXPECT_EQ(options.train.clip_norm, 4);
  EXPECT_THAT(sources.at("train.clip_norm"), HasSubstr("shared/more.yaml:2"));
}

TEST_F(Includes, AnotherKindReplacesTheOptionsOfTheOldOne) {
  write("base.yaml", "optimizer: {kind: sgd, momentum: 0.5}\n");
  write("top.yaml", "include: base.yaml\noptimizer: {kind: adam, beta1: 0.5}\n");
  write("same.yaml", "include: base.yaml\noptimizer: {lr: 3}\n");
  EXPECT_EQ(read("top.yaml").optimizer.as<AdamOptions>().beta1, 0.5);
  EXPECT_EQ(read("same.yaml").optimizer.as<SgdOptions>().momentum, 0.5);
}

TEST_F(Includes, NullGoesBackToTheDefault) {
  write("base.yaml", "train: {steps: 5}\n");
  write("top.yaml", "include: base.yaml\ntrain: null\n");
  EXPECT_EQ(read("top.yaml").train.steps, 100);
}

TEST_F(Includes, ThatFormACircleAreRefused) {
  write("a.yaml", "include: b.yaml\n");
  write("b.yaml", "name: x\ninclude: ./shared/../a.yaml\n");
  try {
    read("a.yaml");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.message(), HasSubstr("includes itself"));
    EXPECT_THAT(error.message(), HasSubstr("b.yaml:2:10"));
  }
}

TEST_F(Includes, ThatFanOutAreRefused) {
  for (int i = 0; i < 12; ++i) {
    const std::string next = std::to_string(i + 1) + ".yaml";
    write(std::to_string(i) + ".yaml", "include: [" + next + ", " + next + "]\n");
  }
  write("12.yaml", "name: x\n");
  EXPECT_THROW(read("0.yaml"), ConfigError);
}

TEST(Yaml, SaysThatAConfigFileIsMissing) {
  EXPECT_THROW(parse_yaml_file("/nonexistent/x.yaml"), ConfigError);
  EXPECT_THROW(parse_yaml_file("/"), ConfigError);
}

}  // namespace
}  // namespace lockstep
