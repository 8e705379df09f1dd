#include "train/profile.h"

#include <gtest/gtest.h>

#include "core/errors.h"

namespace lockstep {
namespace {

TEST(ProfileSteps, ReadsACountOrARange) {
  const auto expect = [](const std::string& text, int64_t first, int64_t begin, int64_t end) {
    const ProfileSteps steps = parse_profile_steps(text, first);
    EXPECT_EQ(steps.begin, begin) << text;
    EXPECT_EQ(steps.end, end) << text;
  };
  expect("", 0, 0, 0);
  expect("5", 0, 3, 8);
  expect("5", 100, 103, 108);
  expect("100-104", 0, 99, 104);
  expect("7-7", 50, 6, 7);
}

TEST(ProfileSteps, RefusesWhatIsNeither) {
  for (const char* text :
       {"0", "-3", "3-", "a", "4-3", "0-2", "1-2-3", "5 ", "99999999999999999999"})
    EXPECT_THROW(parse_profile_steps(text, 0), ConfigError) << text;
}

// Thread 1: outer [0,10] holds inner [1,3] and inner [4,9], which holds leaf [5,6]. Thread 2: inner
// [2,5] alone.
TEST(OperatorTimes, SubtractInnerCallsOfTheSameThread) {
  const auto ms = [](uint64_t value) { return value * 1'000'000; };
  const std::vector<OperatorTime> rows = operator_times({{1, "inner", ms(4), ms(9)},
                                                         {1, "outer", ms(0), ms(10)},
                                                         {2, "inner", ms(2), ms(5)},
                                                         {1, "leaf", ms(5), ms(6)},
                                                         {1, "inner", ms(1), ms(3)}});
  ASSERT_EQ(rows.size(), 3u);
  const auto expect = [&](size_t i, const char* name, int64_t calls, double total, double self) {
    EXPECT_EQ(rows[i].name, name);
    EXPECT_EQ(rows[i].calls, calls) << name;
    EXPECT_DOUBLE_EQ(rows[i].total_ms, total) << name;
    EXPECT_DOUBLE_EQ(rows[i].self_ms, self) << name;
  };
  expect(0, "inner", 3, 10, 9);
  expect(1, "leaf", 1, 1, 1);
  expect(2, "outer", 1, 10, 3);
}

TEST(OperatorTable, ListsTheSlowestFirst) {
  const std::string table =
      operator_table({{"fast", 1, 1, 1}, {"slow", 2, 6, 3}, {"middle", 1, 2, 2}}, 2, 4);
  EXPECT_NE(table.find("4 steps"), std::string::npos) << table;
  EXPECT_LT(table.find("slow"), table.find("middle")) << table;
  EXPECT_NE(table.find("50.0%"), std::string::npos) << table;
  EXPECT_EQ(table.find("fast"), std::string::npos) << table;
}

TEST(ProfileTables, TellHostAndDeviceApart) {
  const std::vector<TimedCall> calls = {{1, "aten::add", 0, 4'000'000},
                                        {7, "add_kernel", 1'000'000, 3'000'000, true}};
  const std::string text = profile_tables(calls, 20, 1);
  const size_t device = text.find("On the GPU");
  ASSERT_NE(device, std::string::npos);
  EXPECT_LT(text.find("aten::add"), device);
  EXPECT_GT(text.find("add_kernel"), device);
  EXPECT_NE(text.find("4.000"), std::string::npos)
      << "a kernel takes nothing from the call that started it";
  EXPECT_EQ(profile_tables({calls[0]}, 20, 1).find("On the GPU"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
