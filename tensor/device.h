// Where a rank computes, and what the step needs of it: queues of work, marks between them, graphs
// of recorded work, memory that copies without the host, and how much is in use.
//
// Two kinds: the CPU, whose queues do their work at once, so that everything above runs and is
// tested on any machine; and a GPU, in liblockstep_cuda.so (gpu_cuda.cc), whose queues are CUDA
// streams.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lockstep {

// A point in a queue's work.
class DeviceMark {
 public:
  virtual ~DeviceMark() = default;
  virtual bool reached() const = 0;       // without waiting; never for a mark set while recording
  virtual void wait_on_host() const = 0;  // the calling thread sleeps until it is reached
  // Seconds of the device from `earlier` to this mark, both of DeviceQueue::timed_mark() and
  // reached. Nothing where the marks keep no time.
  virtual std::optional<double> seconds_since(const DeviceMark& earlier) const {
    return std::nullopt;
  }
};

// Work in order; several queues run side by side. Calls come from one thread at a time.
class DeviceQueue {
 public:
  virtual ~DeviceQueue() = default;
  // Tensor operations that `work` calls go to this queue (and those of a backward that started
  // here).
  virtual void run(const std::function<void()>& work) = 0;
  virtual std::unique_ptr<DeviceMark> mark() = 0;
  // A mark that notes when it is reached, for measuring; never while recording.
  virtual std::unique_ptr<DeviceMark> timed_mark() { return mark(); }
  // Work that comes later in this queue starts after the mark.
  virtual void wait(const DeviceMark& mark) = 0;
  virtual void* handle() const = 0;  // cudaStream_t; nullptr on a CPU
};

// A step recorded once and replayed as a whole.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  // Records what `work` does to `queue`, without doing it (a CPU keeps `work` and does nothing).
  // Throws whatever prevented it, with the queue usable again.
  virtual void record(DeviceQueue& queue, const std::function<void()>& work) = 0;
  virtual void replay(DeviceQueue& queue) = 0;
};

struct DeviceMemory {
  int64_t total_bytes = 0;    // of the device
  int64_t current_bytes = 0;  // in tensors
  int64_t peak_bytes = 0;     // the most so far, or since forget_peak()
};

class Device {
 public:
  virtual ~Device() = default;
  virtual at::Device where() const = 0;
  virtual std::string describe() const = 0;  // "NVIDIA H200, 139 GiB, sm_90"
  virtual std::unique_ptr<DeviceQueue> make_queue() = 0;
  // Graphs of one device share their memory: they are replayed one at a time.
  virtual std::unique_ptr<DeviceGraph> make_graph() = 0;
  // Host memory that copies to and from the device while the host goes on.
  virtual at::Tensor pinned(at::IntArrayRef sizes, at::ScalarType dtype) = 0;
  virtual void synchronize() = 0;
  virtual DeviceMemory memory() const = 0;
  // memory().peak_bytes counts from now on. Nothing where memory is not counted.
  virtual void forget_peak() {}
  bool is_cpu() const { return where().is_cpu(); }
};

std::unique_ptr<Device> make_cpu_device();
// The index-th visible GPU, which becomes the current one of the calling thread. Throws
// EnvironmentError if the plug-in is missing (cuda_plugin.h) or the device cannot be used.
std::unique_ptr<Device> make_cuda_device(int index);

// True if `error` says that a device's memory was not enough.
bool is_out_of_memory(const std::exception& error);

}  // namespace lockstep
