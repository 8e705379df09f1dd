#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "core/json_text.h"
#include "tests/core/sample_options.h"

namespace lockstep {
namespace {

using testing::HasSubstr;

// Random options, with strings that look like anything but strings. std::mt19937 is exact by the
// standard, so every machine tries the same ones.
class RandomOptions {
 public:
  explicit RandomOptions(unsigned seed) : random_(seed) {}

  SampleOptions make() {
    SampleOptions out;
    out.name = text();
    out.device = out.name.size() % 2 ? "off" : "cpu";
    out.verbose = flip();
    out.limit = number();
    if (flip()) out.graph = Auto<bool>(flip());
    if (flip()) out.epochs = 1 + below(1 << 30);
    if (flip()) out.note = text();
    for (unsigned i = below(4); i > 0; --i) out.weights.push_back(number());
    for (unsigned i = below(6) == 0 ? 200 : below(4); i > 0; --i) out.files.push_back(text());
    out.train.steps = 1 + below(1000);
    if (flip()) out.train.micro_batch = 1 + below(100);
    out.optimizer = choice();
    for (unsigned i = below(3); i > 0; --i) out.evaluate.push_back(choice());
    for (unsigned i = below(3); i > 0; --i) out.groups.push_back({text(), number()});
    return out;
  }

 private:
  unsigned below(unsigned n) { return random_() % n; }
  bool flip() { return below(2) == 1; }

  std::string text() {
    static const std::vector<std::string> kTraps = {
        "",          "null",   "~",    "true", "No",
        "on",        "1",      "010",  "1e3",  "-",
        "- a",       "a: b",   "a #b", "#",    "'",
        "\"",        "\\",     "[",    "{}",   "*x",
        "&x",        "!t",     "|",    ">",    "%",
        "@",         "`",      "a\nb", "\n",   "tab\there",
        " lead",     "trail ", "é€😀", "\x7f", "auto",
        "---",       "...",    ".inf", "<<",   "include",
        "?",         ": ",     ",",    "a,b",  "/usr/x-1.h5",
        "data/*.h5", "0x1",    "1_0",  "y",    std::string("\0", 1)};
    std::string out = kTraps[below(kTraps.size())];
    if (flip()) out += kTraps[below(kTraps.size())];
    return out;
  }

  double number() {
    if (below(4) == 0) return static_cast<double>(below(100)) - 50;
    const uint64_t bits =
        (uint64_t{static_cast<uint32_t>(random_())} << 32) | static_cast<uint32_t>(random_());
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return std::isfinite(value) ? value : 0.1;
  }

  Choice choice() {
    Choice out(part_table(), flip() ? "adam" : "sgd");
    const double lr = std::abs(number()) + 1e-300;
    if (out.kind == "adam")
      dynamic_cast<OptionsOf<AdamOptions>&>(*out.options).value.lr = lr;
    else
      dynamic_cast<OptionsOf<SgdOptions>&>(*out.options).value.lr = lr;
    return out;
  }

  std::mt19937 random_;
};

TEST(PrintYaml, ReadsBackToTheSameValues) {
  RandomOptions random(1);
  for (int round = 0; round < 500; ++round) {
    SampleOptions options = random.make();
    const std::string yaml = print_yaml(visitor_of(options)),
                      json = print_json(visitor_of(options));
    SampleOptions again = read_sample(yaml);
    ASSERT_EQ(print_json(visitor_of(again)), json) << yaml;
    ASSERT_EQ(print_yaml(visitor_of(again)), yaml);
    // The sources are comments: they change nothing, whatever an override holds.
    Sources sources;
    SampleOptions third = read_sample(yaml, {"name='x # y: \"z'"}, &sources);
    SampleOptions fourth = read_sample(print_yaml(visitor_of(third), &sources));
    ASSERT_EQ(print_json(visitor_of(fourth)), print_json(visitor_of(third)));
  }
}

TEST(PrintJson, IsJsonWithTheExactValues) {
  RandomOptions random(2);
  for (int round = 0; round < 200; ++round) {
    SampleOptions options = random.make();
    const nlohmann::json json = nlohmann::json::parse(print_json(visitor_of(options)));
    ASSERT_EQ(json["name"], options.name);
    ASSERT_EQ(json["limit"].get<double>(), options.limit);
    ASSERT_EQ(json["weights"].get<std::vector<double>>(), options.weights);
    ASSERT_EQ(json["optimizer"]["kind"], options.optimizer.kind);
    ASSERT_EQ(json["epochs"].is_null(), !options.epochs.has_value());
  }
}

TEST(PrintJson, LeavesOutWhatIsSkipped) {
  SampleOptions options;
  const std::string text = print_json(visitor_of(options), {"train", "optimizer.lr", "name"});
  const nlohmann::json json = nlohmann::json::parse(text);
  EXPECT_FALSE(json.contains("train"));
  EXPECT_FALSE(json.contains("name"));
  EXPECT_FALSE(json["optimizer"].contains("lr"));
  EXPECT_TRUE(json["optimizer"].contains("beta1"));
}

TEST(PrintYaml, SaysWhereEachValueCameFrom) {
  Sources sources;
  SampleOptions options = read_sample("train:\n  steps: 5\n", {"name=x"}, &sources);
  const std::string yaml = print_yaml(visitor_of(options), &sources);
  EXPECT_THAT(yaml, HasSubstr("  steps: 5  # sample.yaml:2\n"));
  EXPECT_THAT(yaml, HasSubstr("name: x  # command line: name=x\n"));
  EXPECT_THAT(yaml, HasSubstr("verbose: false  # default\n"));
}

TEST(PrintYaml, BreaksLongListsIntoLines) {
  SampleOptions options;
  for (int i = 0; i < 50; ++i) options.files.push_back("train-" + std::to_string(i) + ".h5");
  EXPECT_THAT(print_yaml(visitor_of(options)),
              HasSubstr("files:\n  - train-0.h5\n  - train-1.h5\n"));
}

TEST(FormatDouble, IsTheShortestTextThatReadsBack) {
  EXPECT_EQ(format_double(1e-4), "1.0e-4");
  EXPECT_EQ(format_double(0.1), "0.1");
  EXPECT_EQ(format_double(3), "3.0");
  EXPECT_EQ(format_double(-0.0), "-0.0");
  EXPECT_EQ(format_double(1e300), "1.0e+300");
  EXPECT_EQ(format_double(5e-324), "5.0e-324");
  EXPECT_EQ(format_double(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(format_double(-INFINITY), "-.inf");
}

TEST(PrintKeys, ListsEveryKeyOfEveryKindWithLimits) {
  SampleOptions options;
  const std::string keys = print_keys(visitor_of(options));
  EXPECT_THAT(keys, testing::ContainsRegex(
                        "train\\.steps +integer +100 +between 1 and 1000000 +# updates in all"));
  EXPECT_THAT(keys, testing::ContainsRegex("optimizer\\.kind +choice +adam +adam \\| sgd"));
  EXPECT_THAT(keys, testing::ContainsRegex("optimizer\\.momentum +number .*\\(sgd\\)"));
  EXPECT_THAT(keys, HasSubstr("evaluate.N.momentum"));
  EXPECT_THAT(keys, HasSubstr("groups.N.pattern"));
  const std::string some = print_keys(visitor_of(options), "train.");
  EXPECT_EQ(std::count(some.begin(), some.end(), '\n'), 4);
  EXPECT_TRUE(options.groups.empty());
}

TEST(PrintSchema, IsJsonThatClosesEveryObjectAndListsKinds) {
  SampleOptions options;
  const nlohmann::json schema = nlohmann::json::parse(print_schema(visitor_of(options)));
  EXPECT_EQ(schema["additionalProperties"], false);
  const auto& steps = schema["properties"]["train"]["anyOf"][0]["properties"]["steps"]["anyOf"][0];
  EXPECT_EQ(steps["type"], "integer");
  EXPECT_EQ(steps["minimum"], 1);
  const auto& kinds = schema["properties"]["optimizer"]["anyOf"][0]["oneOf"];
  ASSERT_EQ(kinds.size(), 3u);  // the names alone, and two maps
  EXPECT_EQ(kinds[2]["properties"]["kind"]["const"], "sgd");
  EXPECT_EQ(kinds[2]["required"][0], "kind");
  EXPECT_FALSE(kinds[1].contains("required"));  // the default kind need not be named
}

}  // namespace
}  // namespace lockstep
