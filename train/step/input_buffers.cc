// Two landing places take turns: while the compute queue reads one, the next step's inputs are
// copied into the other. The host waits only if a place is still in use two steps later.
#include "train/step/input_buffers.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lockstep {

InputLayout InputLayout::of(const std::vector<LossInputs>& micro_batches) {
  InputLayout layout;
  for (const LossInputs& inputs : micro_batches) {
    layout.micro_batches.emplace_back();
    for (const auto& [name, tensor] : inputs.tensors) {
      layout.micro_batches.back().push_back(
          {name, tensor.scalar_type(), tensor.sizes().vec(), layout.bytes});
      layout.bytes += (static_cast<int64_t>(tensor.nbytes()) + kAlign - 1) / kAlign * kAlign;
      layout.key += fmt::format("{} {} {};", name, c10::toString(tensor.scalar_type()),
                                fmt::join(tensor.sizes().vec(), "x"));
    }
    layout.key += "|";
  }
  return layout;
}

std::vector<LossInputs> InputLayout::views(const at::Tensor& buffer) const {
  std::vector<LossInputs> out;
  for (const auto& entries : micro_batches) {
    out.emplace_back();
    for (const Entry& entry : entries) {
      const int64_t elements = c10::multiply_integers(entry.shape);
      const int64_t length = elements * static_cast<int64_t>(c10::elementSize(entry.dtype));
      out.back().tensors[entry.name] =
          buffer.narrow(0, entry.offset, length).view(entry.dtype).view(entry.shape);
    }
  }
  return out;
}

InputBuffers::InputBuffers(Device& device, DeviceQueue& compute)
    : device_(device), compute_(compute), copies_(device.make_queue()) {}

InputBuffers::Landing& InputBuffers::landing(int64_t bytes) {
  Landing& landing = landings_[turn_];
  turn_ = 1 - turn_;
  if (landing.copied) landing.copied->wait_on_host();  // two steps ago
  if (!landing.host.defined() || landing.host.numel() < bytes) {
    if (landing.free_on_device) landing.free_on_device->wait_on_host();
    landing.host = device_.pinned({bytes}, at::kByte);
    landing.device =
        at::empty({bytes}, at::TensorOptions().dtype(at::kByte).device(device_.where()));
    landing.free_on_device.reset();
  }
  return landing;
}

const std::vector<LossInputs>& InputBuffers::bring(const InputLayout& layout,
                                                   const std::vector<LossInputs>& micro_batches) {
  const at::NoGradGuard no_grad;
  const int64_t bytes = std::max<int64_t>(layout.bytes, 1);
  Landing& landing = this->landing(bytes);
  const std::vector<LossInputs> host = layout.views(landing.host);
  for (size_t i = 0; i < micro_batches.size(); ++i)
    for (const auto& [name, tensor] : micro_batches[i].tensors)
      at::Tensor(host[i].tensors.at(name)).copy_(tensor);
  copies_->run([&] {
    if (landing.free_on_device) copies_->wait(*landing.free_on_device);
    landing.device.narrow(0, 0, bytes)
        .copy_(landing.host.narrow(0, 0, bytes), /*non_blocking=*/true);
  });
  landing.copied = copies_->mark();
  Place& place = places_[layout.key];
  compute_.run([&] {
    if (!place.buffer.defined()) {
      place.buffer = at::empty({bytes}, landing.device.options());
      place.tensors = layout.views(place.buffer);
    }
    compute_.wait(*landing.copied);
    place.buffer.copy_(landing.device.narrow(0, 0, bytes));
  });
  landing.free_on_device = compute_.mark();
  for (size_t i = 0; i < micro_batches.size(); ++i) {
    place.tensors[i].count = micro_batches[i].count;
    place.tensors[i].guesses = micro_batches[i].guesses;
  }
  return place.tensors;
}

}  // namespace lockstep
