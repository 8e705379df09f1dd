// What LibTorch asks of a device beside operators: memory, the current device and stream, events.
#include "tests/emulation/gpu/torch_memory.h"

#include <cstring>

#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "tests/emulation/gpu/memory.h"
#include "tests/emulation/gpu/timeline.h"

namespace emulation {
namespace {

at::Device this_device() { return {at::kCUDA, static_cast<c10::DeviceIndex>(device_index())}; }

class DeviceAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* at = bytes == 0 ? nullptr : allocate_device(bytes, current_stream());
    return {at, at, &free_device, this_device()};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_device; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};

class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* at = allocate_pinned(bytes);
    return {at, at, &free_pinned, at::Device(at::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_pinned; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};

struct Hooks final : at::CUDAHooksInterface {
  explicit Hooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex current_device() const override { return this_device().index(); }
  c10::DeviceIndex deviceCount() const override {
    return static_cast<c10::DeviceIndex>(device_count());
  }
  int getNumGPUs() const override { return device_count(); }
  c10::DeviceIndex getCurrentDevice() const override { return this_device().index(); }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return this_device().index(); }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override {
    return this_device().index();
  }
  bool isPinnedPtr(const void* data) const override { return is_pinned(data); }
  c10::Allocator* getPinnedMemoryAllocator() const override {
    static PinnedAllocator allocator;
    return &allocator;
  }
  c10::Allocator* getCUDADeviceAllocator() const override { return device_allocator(); }
  at::Device getDeviceFromPtr(void*) const override { return this_device(); }
  void deviceSynchronize(c10::DeviceIndex) const override { host_waits_for_all(); }
};

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return at::kCUDA; }
  c10::Device exchangeDevice(c10::Device) const override { return this_device(); }
  c10::Device getDevice() const override { return this_device(); }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::DeviceIndex deviceCount() const noexcept override {
    return static_cast<c10::DeviceIndex>(device_count());
  }
  c10::Stream getStream(c10::Device) const override { return stream(current_stream()); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream(0); }
  c10::Stream exchangeStream(c10::Stream next) const override {
    return stream(set_current_stream(next.id()));
  }
  void destroyEvent(void* event, c10::DeviceIndex) const noexcept override {
    delete static_cast<Event*>(event);
  }
  void record(void** event, const c10::Stream& of, c10::DeviceIndex,
              c10::EventFlag) const override {
    if (*event == nullptr) *event = new Event;
    record_event(*static_cast<Event*>(*event), of.id());
  }
  void block(void* event, const c10::Stream& of) const override {
    if (event != nullptr) wait_for_event(of.id(), *static_cast<Event*>(event));
  }
  bool queryEvent(void* event) const override {
    return event == nullptr || event_reached(*static_cast<Event*>(event));
  }
  void synchronizeEvent(void* event) const override {
    if (event != nullptr) host_waits_for_event(*static_cast<Event*>(event));
  }
  void synchronizeStream(const c10::Stream&) const override { host_waits_for_all(); }
  void synchronizeDevice(c10::DeviceIndex) const override { host_waits_for_all(); }
  bool queryStream(const c10::Stream&) const override { return true; }

 private:
  static c10::Stream stream(StreamId id) {
    return c10::Stream(c10::Stream::UNSAFE, this_device(), id);
  }
};

}  // namespace

c10::Allocator* device_allocator() {
  static DeviceAllocator allocator;
  return &allocator;
}

using CUDAHooks = Hooks;
C10_REGISTER_GUARD_IMPL(CUDA, Guard)

}  // namespace emulation

namespace at {
using CUDAHooks = emulation::CUDAHooks;
REGISTER_CUDA_HOOKS(CUDAHooks)
}  // namespace at
