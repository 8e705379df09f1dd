// main() of test programs with GPU tests: the plug-in first, then everything else.
#include <cstdio>

#include <gtest/gtest.h>

#include "core/errors.h"
#include "train/open_device.h"

int main(int argc, char** argv) {
  try {
    lockstep::open_cuda_for(lockstep::DeviceKind::kAuto);
  } catch (const lockstep::Error& error) {
    std::fprintf(stderr, "%s\n", error.message().c_str());
    return 1;
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
