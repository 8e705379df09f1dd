#include "report/sweep_results.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// A sweep's folder with runs whose metrics are given.
class SweepResultsTest : public testing::Test {
 protected:
  SweepResultsTest() {
    std::string name = testing::TempDir() + "sweep-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~SweepResultsTest() override { fs::remove_all(folder_); }

  void add(const std::string& name, const std::string& lr, const std::string& metrics,
           const std::string& state = "done", int code = 0, const std::string& error = "") {
    const RunFolder run{folder_ / name};
    fs::create_directories(run.root);
    std::ofstream(run.metrics()) << metrics;
    points_.push_back(
        {name, run, {{"optimizer.lr", lr}}, {"optimizer.lr=" + lr}, state, code, error, 4});
  }

  SweepResults results(const std::vector<std::string>& rank_by) {
    return read_sweep_results("s", rank_by, {"optimizer.lr"}, points_);
  }

  static std::string step(int number, double loss) {
    return "{\"step\":" + std::to_string(number) + ",\"loss\":" + std::to_string(loss) +
           ",\"accuracy\":0.25}\n";
  }
  static std::string evaluation(int number, double loss, double accuracy) {
    return "{\"kind\":\"evaluation\",\"smaller_is_better\":[\"validation_loss\"],\"step\":" +
           std::to_string(number) + ",\"validation_loss\":" + std::to_string(loss) +
           ",\"validation_accuracy\":" + std::to_string(accuracy) + "}\n";
  }

  // Two winners: "a" by its loss of step 2, "b" by its accuracy of step 4.
  void add_three() {
    add("a", "1.0e-3", step(1, 3) + evaluation(2, 0.5, 0.10) + evaluation(4, 0.7, 0.20));
    add("b", "0.01",
        step(1, 2) + step(2, 1.5) + evaluation(2, 0.6, 0.05) + evaluation(4, 0.55, 0.30));
    add("c", "bad, \"value\"", "", "failed", 7, "gradients, were not finite");
  }

  fs::path folder_;
  std::vector<SweepPointFacts> points_;
};

TEST_F(SweepResultsTest, RankByTheBestOfARunAndHaveAWinnerForEachScore) {
  add_three();
  const SweepResults by_loss = results({"validation_loss", "validation_accuracy"});
  EXPECT_EQ(by_loss.rows[0].facts.name, "a");
  EXPECT_EQ(by_loss.rows[0].score("validation_loss")->best_step, 2);
  EXPECT_EQ(by_loss.rows[0].score("validation_loss")->last, 0.7);
  EXPECT_EQ(by_loss.rows[2].rank, 0);  // nothing to rank by: last, but there
  EXPECT_EQ(winner(by_loss, "validation_loss")->facts.name, "a");
  EXPECT_EQ(winner(by_loss, "validation_accuracy")->facts.name, "b");
  EXPECT_EQ(winner(by_loss, "nothing"), nullptr);
  const SweepResults by_accuracy = results({"validation_accuracy"});
  EXPECT_EQ(by_accuracy.rows[0].facts.name, "b");
  EXPECT_EQ(results({}).rank_by,
            (std::vector<std::string>{"validation_loss", "validation_accuracy"}));
}

TEST_F(SweepResultsTest, AreATableWithAllPointsAndTheWinners) {
  add_three();
  const std::string table = sweep_table(results({"validation_loss", "validation_accuracy"}), 30);
  EXPECT_NE(
      table.find("   1  a      done             0.5000        2               0.2000        4"),
      std::string::npos)
      << table;
  EXPECT_NE(table.find("   -  c      failed"), std::string::npos) << table;
  EXPECT_NE(table.find("best validation_loss: 0.5000 at step 2, a\nbest validation_accuracy: "
                       "0.3000 at step 4, b\n"),
            std::string::npos)
      << table;
  EXPECT_NE(sweep_table(results({"validation_loss"}), 1).find("(2 more in results.csv)"),
            std::string::npos);
}

TEST_F(SweepResultsTest, AreCsvWithQuotesWhereNeeded) {
  add_three();
  EXPECT_EQ(
      sweep_csv(results({"validation_loss"})),
      "rank,point,state,exit_code,optimizer.lr,step,steps,seconds,min_train_loss,min_train_loss_"
      "step,final_train_loss,"
      "best_validation_loss,best_validation_loss_step,final_validation_loss,"
      "best_validation_accuracy,best_validation_accuracy_step,final_validation_accuracy,error\n"
      "1,a,done,0,1.0e-3,1,4,0,3,1,3,0.5,2,0.7,0.2,4,0.2,\n"
      "2,b,done,0,0.01,2,4,0,1.5,2,1.5,0.55,4,0.55,0.3,4,0.3,\n"
      ",c,failed,7,\"bad, \"\"value\"\"\",0,4,0,,,,,,,,,,\"gradients, were not finite\"\n");
}

TEST_F(SweepResultsTest, AreJsonWithTypedValuesAndCurves) {
  add_three();
  const auto json =
      nlohmann::json::parse(sweep_json(results({"validation_loss", "validation_accuracy"})));
  EXPECT_EQ(json.at("version"), 1);
  EXPECT_EQ(json.at("winners").at("validation_accuracy").at("point"), "b");
  const auto& first = json.at("points").at(0);
  EXPECT_EQ(first.at("values").at("optimizer.lr"), 1e-3);
  EXPECT_EQ(first.at("scores").at("validation_loss").at("final"), 0.7);
  EXPECT_EQ(first.at("train_accuracy").at("best"), 0.25);
  EXPECT_EQ(first.at("curves").at("evaluations").at(1).at("step"), 4);
  const auto& last = json.at("points").at(2);
  EXPECT_TRUE(last.at("rank").is_null());
  EXPECT_EQ(last.at("values").at("optimizer.lr"), "bad, \"value\"");
  EXPECT_EQ(last.at("error"), "gradients, were not finite");
}

TEST_F(SweepResultsTest, AreOnePageWithoutOtherFiles) {
  add_three();
  points_[2].error = "<script>alert(1)</script>";
  const std::string page = sweep_page(results({"validation_loss", "validation_accuracy"}), folder_);
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;"), std::string::npos);
  EXPECT_NE(page.find("<svg"), std::string::npos);
  EXPECT_NE(page.find("best validation_accuracy: b"), std::string::npos);
  write_sweep_results(results({"validation_loss"}), folder_);
  for (const char* name : {"results.csv", "results.json", "report.html"})
    EXPECT_TRUE(fs::exists(folder_ / name)) << name;
}

TEST_F(SweepResultsTest, OfADamagedRunAreThoseThatCanBeRead) {
  add("a", "1", "{\"step\":1,\"loss\":nul\n" + evaluation(1, 0.5, 0.5) + "{\"kind\":\"eval");
  EXPECT_EQ(results({"validation_loss"}).rows[0].rank, 1);
}

}  // namespace
}  // namespace lockstep
