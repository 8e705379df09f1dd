#include "tensor/device.h"

#include <chrono>

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include "tensor/cuda_parts.h"
#include "tensor/cuda_plugin.h"

namespace lockstep {
namespace {

// A queue does its work at once, so a mark is reached when it is set.
class CpuMark final : public DeviceMark {
 public:
  bool reached() const override { return true; }
  void wait_on_host() const override {}
  std::optional<double> seconds_since(const DeviceMark& earlier) const override {
    return std::chrono::duration<double>(set_ - static_cast<const CpuMark&>(earlier).set_).count();
  }

 private:
  const std::chrono::steady_clock::time_point set_ = std::chrono::steady_clock::now();
};

class CpuQueue final : public DeviceQueue {
 public:
  void run(const std::function<void()>& work) override { work(); }
  std::unique_ptr<DeviceMark> mark() override { return std::make_unique<CpuMark>(); }
  void wait(const DeviceMark&) override {}
  void* handle() const override { return nullptr; }
};

class CpuGraph final : public DeviceGraph {
 public:
  void record(DeviceQueue&, const std::function<void()>& work) override { work_ = work; }
  void replay(DeviceQueue& queue) override { queue.run(work_); }

 private:
  std::function<void()> work_;
};

class CpuDevice final : public Device {
 public:
  at::Device where() const override { return at::kCPU; }
  std::string describe() const override { return "cpu"; }
  std::unique_ptr<DeviceQueue> make_queue() override { return std::make_unique<CpuQueue>(); }
  std::unique_ptr<DeviceGraph> make_graph() override { return std::make_unique<CpuGraph>(); }
  at::Tensor pinned(at::IntArrayRef sizes, at::ScalarType dtype) override {
    return at::empty(sizes, at::TensorOptions().dtype(dtype));
  }
  void synchronize() override {}
  DeviceMemory memory() const override { return {}; }
};

}  // namespace

std::unique_ptr<Device> make_cpu_device() { return std::make_unique<CpuDevice>(); }

std::unique_ptr<Device> make_cuda_device(int index) {
  return static_cast<const tensor::CudaParts*>(cuda_parts_of("tensor"))->make_device(index);
}

bool is_out_of_memory(const std::exception& error) {
  return dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr;
}

}  // namespace lockstep
