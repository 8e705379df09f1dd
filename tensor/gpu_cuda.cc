// A GPU: queues are CUDA streams, marks CUDA events, graphs ATen's CUDAGraph.
//
// Everything a step does runs on streams of its own, never the default stream: autograd remembers
// the stream on which it first saw a parameter, and capture breaks if that was the default one.
// Capture is thread-local, so that loader threads may pin memory while a step is recorded.
#include <ATen/Functions.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nvtx3/nvToolsExt.h>

#include "core/errors.h"
#include "tensor/cuda_parts.h"
#include "tensor/cuda_plugin.h"

namespace lockstep {
namespace {

class CudaMark final : public DeviceMark {
 public:
  CudaMark(const c10::cuda::CUDAStream& stream, bool timed)
      : event_(timed ? cudaEventBlockingSync : cudaEventDisableTiming | cudaEventBlockingSync) {
    event_.record(stream);
  }
  bool reached() const override { return event_.query(); }
  void wait_on_host() const override { event_.synchronize(); }
  std::optional<double> seconds_since(const DeviceMark& earlier) const override {
    return 1e-3 *
           static_cast<double>(static_cast<const CudaMark&>(earlier).event_.elapsed_time(event_));
  }
  at::cuda::CUDAEvent& event() const { return event_; }

 private:
  mutable at::cuda::CUDAEvent event_;
};

class CudaQueue final : public DeviceQueue {
 public:
  explicit CudaQueue(c10::DeviceIndex index)
      : stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, index)) {}
  void run(const std::function<void()>& work) override {
    const c10::cuda::CUDAStreamGuard guard(stream_);
    work();
  }
  std::unique_ptr<DeviceMark> mark() override { return std::make_unique<CudaMark>(stream_, false); }
  std::unique_ptr<DeviceMark> timed_mark() override {
    return std::make_unique<CudaMark>(stream_, true);
  }
  void wait(const DeviceMark& mark) override {
    static_cast<const CudaMark&>(mark).event().block(stream_);
  }
  void* handle() const override { return stream_.stream(); }

 private:
  c10::cuda::CUDAStream stream_;
};

// The name of the memory that the graphs of a device share. LibTorch gives a pool up with its last
// graph and asserts when its name comes back, so a graph without living companions gets a new one.
class GraphPool {
 public:
  std::shared_ptr<const at::cuda::MempoolId_t> share() {
    std::shared_ptr<const at::cuda::MempoolId_t> pool = pool_.lock();
    if (pool == nullptr)
      pool_ = pool = std::make_shared<const at::cuda::MempoolId_t>(at::cuda::graph_pool_handle());
    return pool;
  }
  // After a recording that went wrong: LibTorch may take the name for one that is being recorded
  // to.
  void forget() { pool_.reset(); }

 private:
  std::weak_ptr<const at::cuda::MempoolId_t> pool_;
};

class CudaGraph final : public DeviceGraph {
 public:
  explicit CudaGraph(std::shared_ptr<GraphPool> pools) : pools_(std::move(pools)) {}

  void record(DeviceQueue& queue, const std::function<void()>& work) override {
    queue.run([] { C10_CUDA_CHECK(cudaDeviceSynchronize()); });  // of the queue's device
    graph_.reset();
    pool_.reset();
    pool_ = pools_->share();
    graph_ = std::make_unique<at::cuda::CUDAGraph>();
    queue.run([&] {
      graph_->capture_begin(*pool_, cudaStreamCaptureModeThreadLocal);
      try {
        work();
      } catch (...) {
        const std::exception_ptr cause = std::current_exception();
        drop_capture();
        std::rethrow_exception(cause);
      }
      graph_->capture_end();
    });
  }

  void replay(DeviceQueue& queue) override {
    queue.run([&] { graph_->replay(); });
  }

 private:
  // Ends a recording that went wrong; what CUDA says about it then is only an echo of the cause.
  void drop_capture() noexcept {
    try {
      graph_->capture_end();
    } catch (const std::exception&) {
      static_cast<void>(cudaGetLastError());
    }
    try {
      graph_.reset();
    } catch (const std::exception&) {
      static_cast<void>(cudaGetLastError());
    }
    pool_.reset();
    pools_->forget();
  }

  const std::shared_ptr<GraphPool> pools_;
  std::shared_ptr<const at::cuda::MempoolId_t> pool_;  // while there is a graph
  std::unique_ptr<at::cuda::CUDAGraph> graph_;         // destroyed first
};

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int index) : index_(static_cast<c10::DeviceIndex>(index)) {
    const int count = at::cuda::device_count();
    if (index >= count)
      throw EnvironmentError(
          fmt::format("GPU {} was asked for, and LibTorch sees {}", index, count),
          "check CUDA_VISIBLE_DEVICES and that the driver is 580 or newer");
    c10::cuda::set_device(index_);
    at::globalContext().lazyInitDevice(at::kCUDA);
    c10::cuda::CUDACachingAllocator::init(static_cast<int>(count));
  }

  at::Device where() const override { return {at::kCUDA, index_}; }
  std::string describe() const override {
    const cudaDeviceProp& p = *at::cuda::getDeviceProperties(index_);
    return fmt::format("{}, {} GiB, sm_{}{}", p.name, p.totalGlobalMem >> 30, p.major, p.minor);
  }
  std::unique_ptr<DeviceQueue> make_queue() override { return std::make_unique<CudaQueue>(index_); }
  std::unique_ptr<DeviceGraph> make_graph() override { return std::make_unique<CudaGraph>(pools_); }
  at::Tensor pinned(at::IntArrayRef sizes, at::ScalarType dtype) override {
    return at::empty(sizes, at::TensorOptions().dtype(dtype).pinned_memory(true));
  }
  void synchronize() override {
    const c10::cuda::CUDAGuard guard(index_);  // a thread begins on the first GPU
    C10_CUDA_CHECK(cudaDeviceSynchronize());
  }

  DeviceMemory memory() const override {
    constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(index_);
    return {static_cast<int64_t>(at::cuda::getDeviceProperties(index_)->totalGlobalMem),
            static_cast<int64_t>(stats.allocated_bytes[kAll].current),
            static_cast<int64_t>(stats.allocated_bytes[kAll].peak)};
  }
  void forget_peak() override { c10::cuda::CUDACachingAllocator::resetPeakStats(index_); }

 private:
  const c10::DeviceIndex index_;
  const std::shared_ptr<GraphPool> pools_ = std::make_shared<GraphPool>();
};

std::unique_ptr<Device> make_device(int index) { return std::make_unique<CudaDevice>(index); }

void push_range(const char* name) { nvtxRangePushA(name); }
void pop_range() { nvtxRangePop(); }

}  // namespace
}  // namespace lockstep

extern "C" __attribute__((visibility("default"))) const lockstep::tensor::CudaParts*
lockstep_tensor_cuda(int abi) {
  static constexpr lockstep::tensor::CudaParts parts{&lockstep::make_device, &lockstep::push_range,
                                                     &lockstep::pop_range};
  return abi == lockstep::kCudaPluginAbi ? &parts : nullptr;
}
