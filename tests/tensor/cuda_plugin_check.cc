// Opens the CUDA plug-in as the worker does, before any call into LibTorch, on a machine without a
// driver: it must load, leave the CPU usable, and say what is missing. Prints "skipped" where there
// is a GPU.
#include <cstdio>
#include <string>

#include <ATen/ATen.h>

#include "core/cuda_driver.h"
#include "core/errors.h"
#include "tensor/cuda_plugin.h"
#include "tensor/device.h"

int main() {
  using namespace lockstep;
  try {
    open_cuda_plugin();
    for (const char* folder : {"tensor", "ddp"})
      if (cuda_parts_of(folder) == nullptr) return 1;
    try {
      cuda_parts_of("tensor", kCudaPluginAbi + 1);
      std::puts("failed: another ABI was accepted");
      return 1;
    } catch (const EnvironmentError&) {
    }
    if (at::ones({3}).sum().item<float>() != 3) return 1;
    if (!cuda_driver().devices.empty()) {
      std::puts("skipped: this machine has a GPU");
      return 0;
    }
    try {
      make_cuda_device(0);
      std::puts("failed: a GPU without a driver");
      return 1;
    } catch (const EnvironmentError& error) {
      std::printf("loads driverless; %s\n", error.what());
    }
    return 0;
  } catch (const Error& error) {
    std::printf("failed: %s\n", error.message().c_str());
    return 1;
  }
}
