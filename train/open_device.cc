#include "train/open_device.h"

#include <cstdlib>

#include <ATen/Context.h>
#include <fmt/format.h>

#include "core/cuda_driver.h"
#include "core/errors.h"
#include "core/log.h"
#include "core/rank_environment.h"
#include "models/models.h"
#include "optim/cuda_parts.h"
#include "tensor/cuda_plugin.h"

namespace lockstep {

void open_cuda_for(DeviceKind device) {
  if (device == DeviceKind::kCpu || cuda_plugin_is_open()) return;
  const CudaDriver& driver = cuda_driver();
  if (device == DeviceKind::kAuto && (driver.devices.empty() || cuda_plugin_file().empty())) return;
  if (driver.devices.empty())
    throw EnvironmentError("run.device is cuda, and " + driver.problem, driver.help);
  open_cuda_plugin();
  open_model_kernels();  // another version is an error now, not in the first step
  optim::cuda_parts();
}

std::unique_ptr<Device> device_of_process(DeviceKind device, bool tf32) {
  if (device != DeviceKind::kCuda) return make_cpu_device();
  const CudaDriver& driver = cuda_driver();
  const char* share = std::getenv("LOCKSTEP_SHARE_GPU");
  const int rank = number_of(read_rank_environment().local_rank, 0);
  const int index = device_of_rank(rank, driver, share != nullptr && std::string(share) == "1");
  const std::string bound = bind_to_device_node(driver.devices[static_cast<size_t>(index)]);
  std::unique_ptr<Device> made = make_cuda_device(index);
  at::globalContext().setAllowTF32CuBLAS(tf32);
  at::globalContext().setAllowTF32CuDNN(tf32);
  at::globalContext().setBenchmarkCuDNN(true);  // warm-up steps measure; batches keep their shapes
  log_info(fmt::format("device {}: {}{}", index, made->describe(),
                       bound.empty() ? "" : ", bound to " + bound));
  return made;
}

}  // namespace lockstep
