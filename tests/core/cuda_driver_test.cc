#include "core/cuda_driver.h"

#include <gtest/gtest.h>

#include "core/errors.h"

namespace lockstep {
namespace {

CudaDriver machine_with(int gpus) {
  CudaDriver driver;
  driver.devices.resize(static_cast<size_t>(gpus));
  if (gpus == 0) {
    driver.problem = "no driver";
    driver.help = "install it";
  }
  return driver;
}

TEST(CudaDriver, SaysWhyThereAreNoGpusAndWhatToDo) {
  const CudaDriver& driver = cuda_driver();
  if (!driver.devices.empty()) GTEST_SKIP() << "this machine has a GPU";
  EXPECT_FALSE(driver.problem.empty());
  EXPECT_NE(driver.help.find("run.device=cpu"), std::string::npos);
}

TEST(CudaDriver, GivesEachRankTheGpuOfItsNumber) {
  EXPECT_EQ(device_of_rank(0, machine_with(4), false), 0);
  EXPECT_EQ(device_of_rank(3, machine_with(4), false), 3);
}

TEST(CudaDriver, RefusesMoreRanksThanGpus) {
  try {
    device_of_rank(2, machine_with(2), false);
    FAIL() << "rank 2 got a GPU of two";
  } catch (const EnvironmentError& error) {
    EXPECT_EQ(error.code(), ExitCode::kEnvironment);
    EXPECT_NE(error.fact().find("2 are visible"), std::string::npos) << error.fact();
  }
  EXPECT_EQ(device_of_rank(2, machine_with(2), /*share=*/true), 0);
  EXPECT_THROW(device_of_rank(0, machine_with(0), true), EnvironmentError);
}

TEST(CudaDriver, ReadsListsOfCores) {
  EXPECT_EQ(parse_core_list("0-3,8\n"), (std::vector<int>{0, 1, 2, 3, 8}));
  EXPECT_EQ(parse_core_list("\n"), std::vector<int>{});
  EXPECT_THROW(parse_core_list("0-"), DataError);
  EXPECT_THROW(parse_core_list("cores"), DataError);
}

}  // namespace
}  // namespace lockstep
