// What NVIDIA's driver says of this machine, asked without torch and without the CUDA toolkit.
//
// `device: auto` must be decided before the first call into LibTorch, which caches its view of CUDA
// at the first query (design.md 2). So the driver's library is opened by name and asked directly.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

struct CudaDevice {
  std::string name;  // "NVIDIA H200"
  int64_t memory_bytes = 0;
  int major = 0, minor = 0;  // compute capability
  std::string pci;           // "0000:1b:00.0", as /sys/bus/pci/devices has it
};

struct CudaDriver {
  std::vector<CudaDevice> devices;  // visible ones (CUDA_VISIBLE_DEVICES), in the driver's order
  int version = 0;                  // 13000 = CUDA 13.0; 0: no driver
  std::string problem;              // why there are no devices; "" if there are
  std::string help;                 // what to do about it
};

// Opens libcuda.so.1 once per process. LOCKSTEP_CUDA=0 in the environment hides the devices.
const CudaDriver& cuda_driver();

// Which visible device the rank computes on: the local_rank-th. Throws EnvironmentError if there
// are fewer devices than ranks; LOCKSTEP_SHARE_GPU=1 (tests) lets ranks share the devices in turn.
int device_of_rank(int local_rank, const CudaDriver& driver, bool share);

// "0-3,8" → {0, 1, 2, 3, 8}: how /sys writes sets of cores. Throws DataError for anything else.
std::vector<int> parse_core_list(const std::string& text);

// Binds the calling thread, and threads that it starts later, to the cores of the NUMA node that
// the device hangs on. Does nothing and returns "" where /sys names no node or the cores are taken
// away from this process; else returns "NUMA node 1, cores 32-63" for the log.
std::string bind_to_device_node(const CudaDevice& device);

}  // namespace lockstep
