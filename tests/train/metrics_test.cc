#include "train/metrics.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "tests/train/tiny_run.h"

namespace lockstep {
namespace {

std::vector<nlohmann::json> lines_of(const fs::path& path) {
  std::vector<nlohmann::json> out;
  std::istringstream text(read_file(path));
  for (std::string line; std::getline(text, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}

StepResult metrics_of(int64_t step) {
  StepResult m;
  m.step = step;
  m.loss = 0.5;
  return m;
}

TEST(MetricsFile, HasEveryFieldOfTheInterface) {
  const testing::TemporaryFolder folder;
  {
    MetricsFile(RunFolder{folder.path()}, 0, 0).step(metrics_of(1));
  }
  const auto line = lines_of(folder.path() / "metrics.jsonl").at(0);
  for (const char* key :
       {"step", "epoch", "time", "loss", "lr", "grad_norm", "samples_per_second", "step_seconds",
        "data_wait_seconds", "comm_exposed_seconds", "memory_bytes"})
    EXPECT_TRUE(line.contains(key)) << key;
}

TEST(MetricsFile, HasTheTimesOfADevice) {
  const testing::TemporaryFolder folder;
  {
    MetricsFile file(RunFolder{folder.path()}, 0, 0);
    StepResult eager = metrics_of(1), graph = metrics_of(2);
    eager.device = DeviceSeconds{
        .copy = 0.25, .forward = 1, .backward = 2, .update = 0.5, .exchange = 0.125, .all = 3.875};
    graph.device = DeviceSeconds{.copy = 0.25, .graph = 3, .all = 3.25, .in_graph = true};
    file.step(eager);
    file.step(graph);
  }
  const auto lines = lines_of(folder.path() / "metrics.jsonl");
  EXPECT_EQ(lines.at(0).at("comm_exposed_seconds"), 0.125);
  EXPECT_EQ(lines.at(0).at("backward_seconds"), 2);
  EXPECT_EQ(lines.at(0).at("device_seconds"), 3.875);
  EXPECT_EQ(lines.at(1).at("graph_seconds"), 3);
  EXPECT_TRUE(lines.at(1).at("comm_exposed_seconds").is_null()) << "nobody sees into a graph";
  EXPECT_FALSE(lines.at(1).contains("forward_seconds"));
}

TEST(MetricsFile, MovesLinesPastTheCheckpointAway) {
  const testing::TemporaryFolder temporary;
  const RunFolder folder{temporary.path()};
  {
    MetricsFile file(folder, 0, 0);
    file.attempt(0, 0, 2, 8);
    for (int64_t step = 1; step <= 5; ++step) file.step(metrics_of(step));
    file.evaluation(5, {{"validity", 1.0}}, 0.1);
  }
  {
    MetricsFile(folder, 1, 3).step(metrics_of(4));
  }
  std::vector<int64_t> steps;
  for (const auto& line : lines_of(folder.metrics()))
    if (!line.contains("kind")) steps.push_back(line.at("step"));
  EXPECT_EQ(steps, (std::vector<int64_t>{1, 2, 3, 4}));
  EXPECT_EQ(lines_of(folder.attempt(1) / "metrics-taken-back.jsonl").size(),
            3u);  // steps 4, 5, evaluation of 5
}

TEST(MetricsFile, DropsALineTornByAKill) {
  const testing::TemporaryFolder temporary;
  const RunFolder folder{temporary.path()};
  {
    MetricsFile(folder, 0, 0).step(metrics_of(1));
  }
  write_file_atomic(folder.metrics(), read_file(folder.metrics()) + "{\"step\": 2, \"lo");
  {
    MetricsFile(folder, 1, 1).step(metrics_of(2));
  }
  EXPECT_EQ(lines_of(folder.metrics()).size(), 2u);
}

// No file of this process grows beyond `bytes`: what a full disk does, without one.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(MetricsFile, KeepsLinesWhileTheDiskIsFullAndWritesThemLater) {
  const testing::TemporaryFolder folder;
  {
    MetricsFile metrics(RunFolder{folder.path()}, 0, 0);
    metrics.step(metrics_of(1));
    {
      const FullDisk full(fs::file_size(folder.path() / "metrics.jsonl") + 10);  // cuts a line
      metrics.step(metrics_of(2));
      metrics.step(metrics_of(3));
    }
    metrics.step(metrics_of(4));
  }
  const auto lines = lines_of(folder.path() / "metrics.jsonl");
  ASSERT_EQ(lines.size(), 4u);
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i].at("step"), i + 1);
}

TEST(MetricsFile, EndsTheRunWhenItsFolderWasMovedAndDoesNotMakeItAnew) {
  const testing::TemporaryFolder folder;
  const RunFolder run{folder.path() / "run"};
  fs::create_directory(run.root);
  for (const fs::path& file : {run.config(), run.plan()}) write_file_atomic(file, "x");
  MetricsFile metrics(run, 0, 0);
  metrics.step(metrics_of(1));
  fs::rename(run.root, folder.path() / "elsewhere");
  EXPECT_THROW(metrics.step(metrics_of(2)), EnvironmentError);
  EXPECT_THROW(run.make_folder(run.samples()), EnvironmentError);
  EXPECT_FALSE(fs::exists(run.root));
}

TEST(MetricsFile, GoesOnInANewFileWhenOnlyTheFileWasRemoved) {
  const testing::TemporaryFolder folder;
  const RunFolder run{folder.path()};
  for (const fs::path& file : {run.config(), run.plan()}) write_file_atomic(file, "x");
  MetricsFile metrics(run, 0, 0);
  metrics.step(metrics_of(1));
  fs::remove(run.metrics());
  metrics.step(metrics_of(2));
  EXPECT_EQ(lines_of(run.metrics()).at(0).at("step"), 2);
}

TEST(MetricsFile, WritesABrokenNumberAsNull) {
  const testing::TemporaryFolder folder;
  StepResult m = metrics_of(1);
  m.loss = std::numeric_limits<double>::quiet_NaN();
  {
    MetricsFile(RunFolder{folder.path()}, 0, 0).step(m);
  }
  EXPECT_TRUE(lines_of(folder.path() / "metrics.jsonl").at(0).at("loss").is_null());
}

}  // namespace
}  // namespace lockstep
