#include "train/host_copy.h"

#include <map>

#include <ATen/ATen.h>

namespace lockstep {

HostCopies::HostCopies(Device& device) : device_(device), queue_(device.make_queue()) {}

at::Tensor HostCopies::copy_memory(const at::Tensor& flat) {
  at::Tensor host = device_.pinned(flat.sizes(), flat.scalar_type());
  const int64_t slice = kCopySlice / static_cast<int64_t>(flat.element_size());
  queue_->run([&] {
    for (int64_t at = 0; at < flat.numel(); at += slice) {
      const int64_t count = std::min(slice, flat.numel() - at);
      host.narrow(0, at, count).copy_(flat.narrow(0, at, count), /*non_blocking=*/true);
    }
  });
  return host;
}

NamedTensors HostCopies::take(const NamedTensors& tensors) {
  const at::NoGradGuard no_grad;
  std::map<const void*, at::Tensor> copies;  // by memory
  NamedTensors out;
  for (const NamedTensor& entry : tensors) {
    const at::Tensor& tensor = entry.tensor;
    const void* memory = tensor.storage().data();
    if (tensor.is_cpu() && !device_.is_cpu()) {  // a count, not a tensor of the device
      out.push_back({entry.name, tensor.clone()});
      continue;
    }
    if (!copies.contains(memory)) {
      const int64_t elements =
          static_cast<int64_t>(tensor.storage().nbytes() / tensor.element_size());
      copies[memory] = copy_memory(tensor.detach().as_strided({elements}, {1}, 0));
    }
    out.push_back({entry.name, copies.at(memory).as_strided(tensor.sizes(), tensor.strides(),
                                                            tensor.storage_offset())});
  }
  done_ = queue_->mark();
  return out;
}

}  // namespace lockstep
