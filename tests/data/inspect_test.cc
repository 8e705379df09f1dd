#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "data/commands.h"
#include "tests/data/made_folder.h"

namespace lockstep {
namespace {

TEST(DataInspect, ListsArraysAndShards) {
  MadeFolder folder;
  make_numbers(folder.path(), {10, 20});
  const DataReport report = inspect_data(folder.path().string());
  for (const char* part :
       {"kind      arrays", "samples   30", "words", "u16", "[2, 3]", "part-0.h5", "part-1.h5"})
    EXPECT_NE(report.text.find(part), std::string::npos) << part << "\nin\n" << report.text;
  const auto json = nlohmann::json::parse(report.json);
  EXPECT_EQ(json["samples"], 30);
  EXPECT_EQ(json["arrays"].size(), 3u);
  EXPECT_EQ(json["arrays"][2]["ragged"], true);
  EXPECT_EQ(json["shards"][1]["samples"], 20);
  EXPECT_EQ(report.json.find('\n'), std::string::npos);
}

TEST(DataVerify, PassesGoodDataOfEveryKind) {
  MadeFolder folder;
  make_numbers(folder / "numbers", {10, 20});
  make_grids(folder / "grids", 12);
  EXPECT_NE(verify_data((folder / "numbers").string(), false)
                .text.find("30 samples in 2 shards are good"),
            std::string::npos);
  const DataReport grids = verify_data((folder / "grids").string(), false);
  EXPECT_NE(grids.text.find("puzzles: 12 hard"), std::string::npos) << grids.text;
  EXPECT_EQ(nlohmann::json::parse(grids.json)["verified"], true);
}

TEST(DataShow, DrawsBoards) {
  MadeFolder folder;
  make_grids(folder.path(), 3);
  const DataReport report = show_data(folder.path().string(), 1, 2);
  EXPECT_NE(report.text.find("sample 1\n30 givens (hard)\n"), std::string::npos) << report.text;
  EXPECT_NE(report.text.find("------+-------+------"), std::string::npos);
  EXPECT_NE(report.text.find("sample 2"), std::string::npos);
  EXPECT_THROW(show_data(folder.path().string(), 3, 1), ConfigError);
}

TEST(DataShow, PrintsValuesOfOtherKinds) {
  MadeFolder folder;
  make_numbers(folder.path(), {10});
  const DataReport report = show_data(folder.path().string(), 7, 1);
  EXPECT_NE(report.text.find("number       7"), std::string::npos) << report.text;
  EXPECT_NE(report.text.find("words        7 7 7"), std::string::npos) << report.text;
}

}  // namespace
}  // namespace lockstep
