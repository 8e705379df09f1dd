// How ranks are started on any machine: pure functions.
#include "launcher/ranks/start_command.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "core/errors.h"

namespace lockstep {
namespace {

LaunchPlan plan(int64_t ranks, const std::string& with = "auto") {
  LaunchPlan out;
  out.ranks = out.ranks_per_node = ranks;
  out.with = with;
  return out;
}

TEST(IsRank, KnowsTheLaunchersOfOthers) {
  EXPECT_TRUE(is_rank({{"OMPI_COMM_WORLD_RANK", "0"}}));
  EXPECT_TRUE(is_rank({{"SLURM_STEP_ID", "0"}, {"PMIX_RANK", "1"}}));
  EXPECT_TRUE(is_rank({{"RANK", "0"}, {"WORLD_SIZE", "2"}}));
  EXPECT_TRUE(is_rank({{"LOCKSTEP_RANK", "0"}}));
  EXPECT_FALSE(is_rank({{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}}));  // a batch shell
  EXPECT_FALSE(is_rank({{"RANK", "0"}}));
}

TEST(ChooseStart, FollowsTheFixedOrder) {
  EXPECT_EQ(choose_start(plan(1), {}, "/bin/mpirun").way, StartWay::kDirect);
  EXPECT_EQ(choose_start(plan(2), {}, "/bin/mpirun").way, StartWay::kMpirun);
  EXPECT_EQ(choose_start(plan(2), {{"SLURM_JOB_ID", "7"}}, "/bin/mpirun").way, StartWay::kSrun);
  EXPECT_EQ(choose_start(plan(2, "mpirun"), {{"SLURM_JOB_ID", "7"}}, "/bin/mpirun").way,
            StartWay::kMpirun);
  EXPECT_EQ(choose_start(plan(1, "mpirun"), {}, "/bin/mpirun").way, StartWay::kMpirun);
  EXPECT_EQ(choose_start(plan(1, "local"), {}, "").way, StartWay::kDirect);
  EXPECT_EQ(choose_start(plan(2, "local"), {}, "/bin/mpirun").way, StartWay::kLocal);
  EXPECT_EQ(choose_start(plan(2), {}, "").way, StartWay::kLocal);  // without mpirun
}

TEST(ChooseStart, SaysWhatIsMissing) {
  EXPECT_THROW(choose_start(plan(2, "mpirun"), {}, ""), EnvironmentError);
  EXPECT_THROW(choose_start(plan(1, "env"), {}, "/bin/mpirun"), ConfigError);
  LaunchPlan nodes = plan(4);
  nodes.nodes = 2;
  EXPECT_THROW(choose_start(nodes, {}, "/bin/mpirun"), ConfigError);
  EXPECT_EQ(choose_start(nodes, {{"SLURM_JOB_ID", "7"}}, "").way, StartWay::kSrun);
  EXPECT_EQ(choose_start(nodes, {}, "/bin/mpirun", /*is_node=*/true).way, StartWay::kLocal);
}

TEST(FindMpirun, LooksInAFixedOrder) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "find_mpirun";
  for (const char* name : {"named/mpirun", "prefix/bin/mpirun.openmpi", "path/mpirun"}) {
    fs::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << "#!/bin/sh\n";
    fs::permissions(folder / name, fs::perms::owner_all);
  }
  Variables variables{{"PATH", "/nowhere:" + (folder / "path").string()}};
  EXPECT_EQ(find_mpirun(variables), folder / "path/mpirun");
  variables["OPAL_PREFIX"] = (folder / "prefix").string();
  EXPECT_EQ(find_mpirun(variables), folder / "prefix/bin/mpirun.openmpi");
  variables["LOCKSTEP_MPIRUN"] = (folder / "named/mpirun").string();
  EXPECT_EQ(find_mpirun(variables), folder / "named/mpirun");
  variables["LOCKSTEP_MPIRUN"] = "/nowhere/mpirun";  // asked for by name: nothing else will do
  EXPECT_EQ(find_mpirun(variables), "");
  fs::remove_all(folder);
}

TEST(StartCommand, OfMpirunStaysOnThisMachine) {
  const StartChoice choice = choose_start(plan(2), {}, "/bin/mpirun");
  const AttemptFiles files{"runs/x", "runs/x/logs/attempt-3", "/dev/shm/s", "/dev/shm/s/pipe", 3,
                           2};
  const Command command =
      start_command(choice, plan(2), files, {"/b/lockstep", "/b/lockstep-worker"});
  const std::string text = command.text();
  EXPECT_EQ(text.rfind("/bin/mpirun -n 2 --host localhost:2 --bind-to none ", 0), 0u) << text;
  for (const char* part :
       {"--mca plm isolated", "--mca oob_tcp_if_include lo", "--mca orte_tmpdir_base /dev/shm/s",
        "--mca btl_vader_backing_directory /dev/shm/s", "-x OMP_NUM_THREADS",
        "-x OMP_WAIT_POLICY"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
  EXPECT_TRUE(text.ends_with(
      "/b/lockstep as-rank /dev/shm/s/pipe runs/x/logs/attempt-3 /b/lockstep-worker train "
      "--run-folder runs/x --attempt 3 --dry-run 2"))
      << text;
  const auto one_thread = std::pair<std::string, std::string>{"OMP_NUM_THREADS", "1"};
  EXPECT_EQ(std::count(command.environment.begin(), command.environment.end(), one_thread), 1);
}

TEST(StartCommand, OfOneRankSaysItsRank) {
  const AttemptFiles files{"x", "x/logs/attempt-0", "/s", "/s/pipe", 0, 0};
  const Command command =
      start_command({StartWay::kDirect, "", ""}, plan(1), files, {"/b/lockstep", "/b/w"});
  EXPECT_EQ(command.text(),
            "/b/lockstep as-rank /s/pipe x/logs/attempt-0 /b/w train --run-folder x --attempt 0");
  const auto rank = std::pair<std::string, std::string>{"LOCKSTEP_RANK", "0"};
  EXPECT_EQ(std::count(command.environment.begin(), command.environment.end(), rank), 1);
}

TEST(StartCommand, OfLocalRanksNamesThemAsTorchrunDoes) {
  JobNode node;
  node.nodes = 2;
  node.rank = 1;
  node.ranks_per_node = 2;
  node.master_address = "10.0.0.1";
  node.master_port = 29500;
  const AttemptFiles files{"x", "x/logs/attempt-0", "/s", "/s/pipe", 0, 0, true};
  const std::vector<Command> commands = local_commands(node, files, {"/b/lockstep", "/b/w"}, 7);
  ASSERT_EQ(commands.size(), 2u);
  EXPECT_TRUE(commands[1].text().ends_with("/b/w train --run-folder x --attempt 0 --tell-nodes"));
  const std::map<std::string, std::string> variables(commands[1].environment.begin(),
                                                     commands[1].environment.end());
  for (const auto& [name, value] : Variables{{"RANK", "3"},
                                             {"WORLD_SIZE", "4"},
                                             {"LOCAL_RANK", "1"},
                                             {"GROUP_RANK", "1"},
                                             {"MASTER_ADDR", "10.0.0.1"},
                                             {"MASTER_PORT", "29500"},
                                             {"LOCKSTEP_RANK", "3"},
                                             {"OMP_NUM_THREADS", "1"}})
    EXPECT_EQ(variables.at(name), value) << name;
  EXPECT_EQ(variables.count("LOCKSTEP_MASTER_SOCKET"), 0u);  // of rank 0 only
}

TEST(Command, IsQuotedForAShell) {
  EXPECT_EQ((Command{{"a", "b c", "it's", "", "x=1"}, {}}.text()), R"(a 'b c' 'it'\''s' '' x=1)");
}

}  // namespace
}  // namespace lockstep
