// Stands in for NVIDIA's driver (libcuda.so.1): what core/cuda_driver asks of it.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

int devices() {
  const char* count = std::getenv("LOCKSTEP_EMULATED_GPUS");
  return count == nullptr ? 1 : std::atoi(count);
}

}  // namespace

EXPORT int cuInit(unsigned) { return 0; }
EXPORT int cuDriverGetVersion(int* version) { return *version = 13000, 0; }
EXPORT int cuDeviceGetCount(int* count) { return *count = devices(), 0; }
EXPORT int cuDeviceGet(int* device, int index) { return *device = index, 0; }
EXPORT int cuDeviceGetName(char* name, int size, int) {
  return std::snprintf(name, static_cast<size_t>(size), "emulated GPU"), 0;
}
EXPORT int cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = size_t{1} << 30, 0; }
EXPORT int cuDeviceGetAttribute(int* value, int attribute, int) {
  return *value = attribute == 75 ? 9 : 0, 0;
}
EXPORT int cuDeviceGetPCIBusId(char* text, int size, int device) {
  return std::snprintf(text, static_cast<size_t>(size), "ffff:%02x:00.0",
                       static_cast<unsigned>(device)),
         0;
}
EXPORT int cuGetErrorName(int, const char** name) { return *name = "CUDA_ERROR_EMULATED", 0; }
