#include "ddp/device/device_communicator.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "core/errors.h"
#include "ddp/cuda_parts.h"
#include "tensor/cuda_plugin.h"

namespace lockstep {
namespace {

class HostDeviceCommunicator final : public DeviceCommunicator {
 public:
  explicit HostDeviceCommunicator(Communicator& host) : host_(host) {}
  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }
  const std::string& name() const override { return name_; }
  bool recordable() const override { return size() == 1; }

  void all_reduce(const at::Tensor& data, DeviceQueue& queue, const std::string& what) override {
    if (size() == 1) return;
    visit(data, queue, [&](at::Tensor& values) {
      if (values.scalar_type() == at::kFloat)
        return host_.all_reduce(values.data_ptr<float>(), static_cast<size_t>(values.numel()),
                                what);
      at::Tensor all = at::empty({size(), values.numel()}, values.options());
      host_.all_gather(values.data_ptr(), all.data_ptr(), values.nbytes(), what);
      values.copy_(all.sum(0).view_as(values));
    });
  }

  void broadcast(const at::Tensor& data, int root, DeviceQueue& queue,
                 const std::string& what) override {
    if (size() == 1) return;
    visit(data, queue, [&](at::Tensor& values) {
      host_.broadcast(values.data_ptr(), values.nbytes(), root, what);
    });
  }

  void reduce_to_owners(const std::vector<OwnedRange>& ranges, DeviceQueue& queue,
                        const std::string& what) override {
    if (size() == 1) return;
    queue.run([&] {
      at::Tensor values = at::cat(values_of(ranges)).cpu();
      host_.all_reduce(values.data_ptr<float>(), static_cast<size_t>(values.numel()), what);
      take(ranges, values, [&](int owner) { return owner == rank(); });
    });
  }

  void gather_from_owners(const std::vector<OwnedRange>& ranges, DeviceQueue& queue,
                          const std::string& what) override {
    if (size() == 1) return;
    queue.run([&] {
      for (int owner = 0; owner < size(); ++owner) {
        const std::vector<OwnedRange> theirs = ranges_of(ranges, owner);
        if (theirs.empty()) continue;
        at::Tensor values = at::cat(values_of(theirs)).cpu();
        host_.broadcast(values.data_ptr(), values.nbytes(), owner, what);
        take(theirs, values, [&](int) { return owner != rank(); });
      }
    });
  }

  void exchange(int peer, const at::Tensor& out, const at::Tensor& in, DeviceQueue& queue,
                const std::string& what) override {
    queue.run([&] {
      const at::Tensor sent = out.defined() ? out.to(at::kCPU) : at::Tensor();
      at::Tensor taken = !in.defined() ? at::Tensor()
                         : in.is_cpu() ? in
                                       : at::empty_like(in, at::kCPU);
      host_.exchange(
          peer, sent.defined() ? sent.data_ptr() : nullptr, sent.defined() ? sent.nbytes() : 0,
          taken.defined() ? taken.data_ptr() : nullptr, taken.defined() ? taken.nbytes() : 0, what);
      if (in.defined() && !in.is_cpu()) in.copy_(taken);
    });
  }

  void watch(const std::string&, std::shared_ptr<const DeviceMark>) override {}
  void check() override {}

 private:
  static std::vector<at::Tensor> values_of(const std::vector<OwnedRange>& ranges) {
    std::vector<at::Tensor> out;
    for (const OwnedRange& range : ranges) out.push_back(range.values);
    return out;
  }
  static std::vector<OwnedRange> ranges_of(const std::vector<OwnedRange>& ranges, int owner) {
    std::vector<OwnedRange> out;
    for (const OwnedRange& range : ranges)
      if (range.owner == owner) out.push_back(range);
    return out;
  }
  // Copies the parts of `values`, the ranges one after the other, whose owner `wanted` accepts.
  template <class Wanted>
  static void take(const std::vector<OwnedRange>& ranges, const at::Tensor& values,
                   const Wanted& wanted) {
    int64_t begin = 0;
    for (const OwnedRange& range : ranges) {
      const int64_t count = range.values.numel();
      if (wanted(range.owner)) range.values.copy_(values.narrow(0, begin, count));
      begin += count;
    }
  }

  // Runs `work` on the data in host memory, after what is queued before.
  template <class Work>
  static void visit(const at::Tensor& data, DeviceQueue& queue, const Work& work) {
    queue.run([&] {
      at::Tensor values = data.is_cpu() ? data : data.to(at::kCPU);
      work(values);
      if (!data.is_cpu()) data.copy_(values);
    });
  }

  Communicator& host_;
  const std::string name_ = "host";
};

}  // namespace

void DeviceCommunicator::reduce_to_owners(const std::vector<OwnedRange>& ranges, DeviceQueue& queue,
                                          const std::string& what) {
  for (const OwnedRange& range : ranges) all_reduce(range.values, queue, what);
}

void DeviceCommunicator::gather_from_owners(const std::vector<OwnedRange>& ranges,
                                            DeviceQueue& queue, const std::string& what) {
  for (const OwnedRange& range : ranges) broadcast(range.values, range.owner, queue, what);
}

std::vector<OwnedRange> owned_ranges(const ShardLayout& layout, const at::Tensor& arena,
                                     int64_t begin, int64_t end) {
  std::vector<OwnedRange> out;
  while (begin < end) {
    const int64_t block = begin / ArenaLayout::kBlockElements;
    const int64_t to = std::min(end, (block + 1) * ArenaLayout::kBlockElements);
    out.push_back({layout.owner(block), arena.narrow(0, begin, to - begin)});
    begin = to;
  }
  return out;
}

size_t stripe_at(const std::vector<OwnedRange>& ranges, size_t first, int ranks) {
  const auto count = static_cast<size_t>(ranks);
  if (ranges.size() - first < count) return 0;
  const at::Tensor& begin = ranges[first].values;
  const auto* at_begin = static_cast<const char*>(begin.const_data_ptr());
  for (size_t i = 0; i < count; ++i) {
    const OwnedRange& range = ranges[first + i];
    const bool fits =
        range.owner == static_cast<int>(i) && range.values.nbytes() == begin.nbytes() &&
        static_cast<const char*>(range.values.const_data_ptr()) == at_begin + i * begin.nbytes();
    if (!fits) return 0;
  }
  return count;
}

std::unique_ptr<DeviceCommunicator> make_host_device_communicator(Communicator& host) {
  return std::make_unique<HostDeviceCommunicator>(host);
}

std::unique_ptr<DeviceCommunicator> make_device_communicator(Communicator& host,
                                                             const Device& device,
                                                             double timeout_seconds) {
  const char* asked = std::getenv("LOCKSTEP_DEVICE_COMM");
  const bool by_host = asked != nullptr && std::strcmp(asked, "host") == 0;
  if (device.is_cpu() || host.size() == 1 || by_host) return make_host_device_communicator(host);
  return static_cast<const ddp::CudaParts*>(cuda_parts_of("ddp"))
      ->make_nccl(host, device.where().index(), timeout_seconds);
}

void wait_for(const DeviceMark& mark, DeviceCommunicator* comm) {
  if (comm == nullptr || comm->size() == 1) return mark.wait_on_host();
  for (int64_t round = 0; !mark.reached(); ++round) {
    comm->check();
    // First without sleeping: a step that is nearly done should not wait for a timer.
    if (round < 2000)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  comm->check();
}

}  // namespace lockstep
