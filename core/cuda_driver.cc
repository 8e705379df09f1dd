#include "core/cuda_driver.h"

#include <cstdlib>

#include <algorithm>
#include <cctype>

#include <dlfcn.h>
#include <fmt/format.h>
#include <sched.h>

#include "core/errors.h"
#include "core/files.h"

namespace lockstep {
namespace {

constexpr const char* kGetDriver =
    "install NVIDIA's driver 580 or newer and check it with nvidia-smi, or set run.device=cpu";

// The few entry points used; the types are those of cuda.h, where CUdevice and CUresult are int.
struct DriverCalls {
  int (*init)(unsigned) = nullptr;
  int (*version)(int*) = nullptr;
  int (*count)(int*) = nullptr;
  int (*get)(int*, int) = nullptr;
  int (*name)(char*, int, int) = nullptr;
  int (*memory)(size_t*, int) = nullptr;
  int (*attribute)(int*, int, int) = nullptr;
  int (*pci)(char*, int, int) = nullptr;
  int (*error_name)(int, const char**) = nullptr;
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool find_all(void* library, DriverCalls& calls) {
  return find(library, "cuInit", calls.init) &&
         find(library, "cuDriverGetVersion", calls.version) &&
         find(library, "cuDeviceGetCount", calls.count) &&
         find(library, "cuDeviceGet", calls.get) && find(library, "cuDeviceGetName", calls.name) &&
         find(library, "cuDeviceTotalMem_v2", calls.memory) &&
         find(library, "cuDeviceGetAttribute", calls.attribute) &&
         find(library, "cuDeviceGetPCIBusId", calls.pci) &&
         find(library, "cuGetErrorName", calls.error_name);
}

CudaDevice look_at(const DriverCalls& calls, int index) {
  constexpr int kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
  CudaDevice device;
  int handle = 0;
  char text[256] = {};
  size_t bytes = 0;
  if (calls.get(&handle, index) != 0) return device;
  if (calls.name(text, sizeof text, handle) == 0) device.name = text;
  if (calls.memory(&bytes, handle) == 0) device.memory_bytes = static_cast<int64_t>(bytes);
  calls.attribute(&device.major, kMajor, handle);
  calls.attribute(&device.minor, kMinor, handle);
  if (calls.pci(text, sizeof text, handle) == 0) device.pci = text;
  for (char& c : device.pci) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return device;
}

CudaDriver probe() {
  CudaDriver driver;
  const char* hidden = std::getenv("LOCKSTEP_CUDA");
  if (hidden != nullptr && std::string(hidden) == "0") {
    driver.problem = "LOCKSTEP_CUDA=0 hides the GPUs";
    driver.help = "unset LOCKSTEP_CUDA, or set run.device=cpu";
    return driver;
  }
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  DriverCalls calls;
  if (library == nullptr || !find_all(library, calls)) {
    driver.problem = "this machine has no NVIDIA driver (libcuda.so.1 cannot be loaded)";
    driver.help = kGetDriver;
    return driver;
  }
  int count = 0;
  int error = calls.init(0);
  if (error == 0) error = calls.version(&driver.version);
  if (error == 0) error = calls.count(&count);
  if (error != 0) {
    const char* name = nullptr;
    calls.error_name(error, &name);
    driver.problem =
        fmt::format("NVIDIA's driver reports {}", name == nullptr ? std::to_string(error) : name);
    driver.help = kGetDriver;
    return driver;
  }
  for (int i = 0; i < count; ++i) driver.devices.push_back(look_at(calls, i));
  if (count == 0) {
    driver.problem = "NVIDIA's driver shows no GPU to this process";
    driver.help = "check CUDA_VISIBLE_DEVICES and nvidia-smi, or set run.device=cpu";
  }
  return driver;
}

}  // namespace

const CudaDriver& cuda_driver() {
  static const CudaDriver driver = probe();
  return driver;
}

int device_of_rank(int local_rank, const CudaDriver& driver, bool share) {
  const int count = static_cast<int>(driver.devices.size());
  if (count == 0) throw EnvironmentError(driver.problem, driver.help);
  if (local_rank < count) return local_rank;
  if (share) return local_rank % count;
  throw EnvironmentError(
      fmt::format("rank {} of this machine has no GPU of its own: {} visible", local_rank,
                  count == 1 ? "1 is" : fmt::format("{} are", count)),
      fmt::format(
          "start at most {} rank{} on a machine (launch.ranks_per_node), or set run.device=cpu",
          count, count == 1 ? "" : "s"));
}

std::vector<int> parse_core_list(const std::string& text) {
  std::vector<int> cores;
  size_t at = 0;
  const auto number = [&] {
    const size_t start = at;
    while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at]))) ++at;
    if (at == start || at - start > 6) throw DataError("'" + text + "' is no list of cores");
    return std::stoi(text.substr(start, at - start));
  };
  while (at < text.size() && text[at] != '\n') {
    const int first = number();
    int last = first;
    if (at < text.size() && text[at] == '-') {
      ++at;
      last = number();
    }
    for (int core = first; core <= last; ++core) cores.push_back(core);
    if (at < text.size() && text[at] == ',') ++at;
  }
  return cores;
}

std::string bind_to_device_node(const CudaDevice& device) {
  const fs::path folder = fs::path("/sys/bus/pci/devices") / device.pci;
  if (device.pci.empty() || !fs::exists(folder / "numa_node") ||
      !fs::exists(folder / "local_cpulist"))
    return "";
  const std::string node = read_file(folder / "numa_node", 64),
                    list = read_file(folder / "local_cpulist", 1 << 16);
  if (std::atoi(node.c_str()) < 0) return "";
  cpu_set_t allowed, wanted;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return "";
  CPU_ZERO(&wanted);
  for (const int core : parse_core_list(list))
    if (core < CPU_SETSIZE && CPU_ISSET(core, &allowed)) CPU_SET(core, &wanted);
  if (CPU_COUNT(&wanted) == 0 || sched_setaffinity(0, sizeof wanted, &wanted) != 0) return "";
  return fmt::format("NUMA node {}, {} cores", std::atoi(node.c_str()), CPU_COUNT(&wanted));
}

}  // namespace lockstep
