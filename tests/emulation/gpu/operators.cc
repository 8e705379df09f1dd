// LibTorch's operators for the emulated GPU: each one runs its CPU kernel on the same memory.
//
// One boxed fallback behind the dispatch key CUDA does nearly all of it: tensors on the device
// become CPU tensors of the same memory, the CPU kernel runs, results move to device memory. What
// cannot work like that (making tensors, views, copies between host and device) has functions of
// its own. It checks what a GPU would: tensors of two devices in one operation, and operations that
// make the host wait.
#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <torch/library.h>

#include <set>

#include "tests/emulation/gpu/memory.h"
#include "tests/emulation/gpu/torch_memory.h"

namespace emulation {
namespace {

using c10::IValue;

const std::set<std::string> kHostWaits = {"aten::_local_scalar_dense",
                                          "aten::nonzero",
                                          "aten::masked_select",
                                          "aten::equal",
                                          "aten::_unique2",
                                          "aten::bincount",
                                          "aten::unique_dim",
                                          "aten::unique_consecutive",
                                          "aten::repeat_interleave"};
// Operators that take indices from the host, which CUDA then copies.
const std::set<std::string> kTakesIndices = {"aten::index", "aten::_index_put_impl_",
                                             "aten::index_put_"};

// The same memory as a CPU tensor, which does not own it.
at::Tensor on_host(const at::Tensor& tensor) {
  const c10::StorageImpl* storage = tensor.storage().unsafeGetStorageImpl();
  c10::Storage same(c10::Storage::use_byte_size_t(), storage->nbytes(),
                    c10::DataPtr(const_cast<void*>(storage->data()), at::kCPU), nullptr, false);
  at::Tensor host = at::detail::make_tensor<c10::TensorImpl>(
      std::move(same), c10::DispatchKeySet(c10::DispatchKey::CPU), tensor.dtype());
  host.unsafeGetTensorImpl()->set_storage_offset(tensor.storage_offset());
  host.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides());
  return host;
}

Span span_of(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return {};
  int64_t last = 0;
  for (int64_t d = 0; d < tensor.dim(); ++d) last += (tensor.size(d) - 1) * tensor.stride(d);
  return span(tensor.const_data_ptr(), static_cast<size_t>(last + 1) * tensor.itemsize());
}

void set_size(const at::Tensor& tensor, at::IntArrayRef sizes) {
  c10::TensorImpl* impl = tensor.unsafeGetTensorImpl();
  impl->set_sizes_contiguous(sizes);
  const size_t bytes =
      at::detail::computeStorageNbytesContiguous(sizes, tensor.itemsize(), tensor.storage_offset());
  c10::StorageImpl* storage = impl->unsafe_storage().unsafeGetStorageImpl();
  if (bytes <= storage->nbytes()) return;
  c10::DataPtr larger = device_allocator()->allocate(bytes);
  std::memcpy(larger.get(), storage->data(), storage->nbytes());
  storage->set_data_ptr_noswap(std::move(larger));
  storage->set_nbytes(bytes);
}

// A device tensor with the contents of `host`.
at::Tensor on_device(const at::Tensor& host) {
  at::Tensor out = at::detail::empty_strided_generic(
      host.sizes(), host.strides(), device_allocator(), c10::DispatchKeySet(c10::DispatchKey::CUDA),
      host.scalar_type());
  on_host(out).copy_(host);
  return out;
}

bool is_on_device(const at::Tensor& tensor) { return tensor.defined() && tensor.is_cuda(); }

// One tensor of the arguments.
struct Place {
  at::Tensor device, host;
  bool written = false;
  bool fresh = false;  // an `out` that the operator will give a size
};

// A call of an operator on its way from the device to the host.
class Call {
 public:
  Call(const c10::OperatorHandle& op, c10::Stack arguments)
      : op_(op), arguments_(std::move(arguments)) {
    const auto& declared = op.schema().arguments();
    for (size_t i = 0; i < arguments_.size(); ++i) {
      const bool written =
          declared[i].alias_info() != nullptr && declared[i].alias_info()->isWrite();
      arguments_[i] = to_host(arguments_[i], written);
    }
  }

  const std::vector<Place>& places() const { return places_; }
  void run() {
    results_ = arguments_;
    op_.callBoxed(&results_);
  }

  // Results of the first run as device tensors.
  c10::Stack device_results() {
    for (Place& place : places_)
      if (place.fresh) take_size(place);
    c10::Stack out;
    for (const IValue& result : results_) out.push_back(to_device(result));
    return out;
  }

  // For after device_results(). A replay runs the kernel again and leaves new results where the
  // first ones were.
  Work describe() const {
    Work work{op_.schema().name(), {}, {}, {}};
    for (const Place& place : places_)
      (place.written ? work.writes : work.reads).push_back(span_of(place.device));
    for (const at::Tensor& made : made_)
      if (made.defined()) work.writes.push_back(span_of(made));
    work.run = [op = op_, arguments = arguments_, made = made_] {
      c10::Stack results = arguments;
      op.callBoxed(&results);
      size_t next = 0;
      const auto keep = [&](const at::Tensor& result) {
        if (const at::Tensor& place = made[next++]; place.defined())
          at::Tensor(place).copy_(result);
      };
      for (const IValue& result : results) {
        if (result.isTensor()) keep(result.toTensor());
        if (result.isTensorList())
          for (const at::Tensor& one : result.toTensorVector()) keep(one);
      }
    };
    return work;
  }

 private:
  IValue to_host(const IValue& value, bool written) {
    if (value.isTensor()) return tensor_to_host(value.toTensor(), written);
    if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorVector())
        list.push_back(tensor_to_host(tensor, written));
      return list;
    }
    if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorVector())
        list.push_back(tensor && tensor->defined() ? std::optional(tensor_to_host(*tensor, written))
                                                   : std::nullopt);
      return list;
    }
    if (value.isDevice()) return at::Device(at::kCPU);
    return value;
  }

  at::Tensor tensor_to_host(const at::Tensor& tensor, bool written) {
    if (!is_on_device(tensor)) {
      if (!tensor.defined()) return tensor;
      if (kTakesIndices.contains(op_.schema().name()))
        host_reads("copying an index from the host", current_stream());
      TORCH_CHECK(tensor.dim() == 0 || kTakesIndices.contains(op_.schema().name()),
                  op_.schema().name(),
                  ": Expected all tensors to be on the same device, but found at least two "
                  "devices, cuda:0 and cpu!");
      return is_recording() ? tensor.clone()
                            : tensor;  // a number from the host is recorded as it is now
    }
    if (kTakesIndices.contains(op_.schema().name()) &&
        (tensor.scalar_type() == at::kBool || tensor.scalar_type() == at::kByte) &&
        !places_.empty())
      host_reads("an index by a mask", current_stream());
    Place place{tensor, {}, written, written && tensor.numel() == 0};
    place.host = place.fresh ? at::empty(tensor.sizes(), tensor.options().device(at::kCPU))
                             : on_host(tensor);
    places_.push_back(place);
    return place.host;
  }

  // An `out` that the CPU kernel has made larger.
  static void take_size(Place& place) {
    if (place.host.numel() == 0) return;
    const at::Tensor value = place.host.clone();
    set_size(place.device, value.sizes());
    const at::Tensor there = on_host(place.device);
    place.host.unsafeGetTensorImpl()->set_storage_keep_dtype(there.storage());
    place.host.unsafeGetTensorImpl()->set_sizes_and_strides(there.sizes(), there.strides());
    place.host.copy_(value);
  }

  IValue to_device(const IValue& value) {
    if (value.isTensor()) return tensor_to_device(value.toTensor());
    if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorVector())
        list.push_back(tensor_to_device(tensor));
      return list;
    }
    return value;
  }

  at::Tensor tensor_to_device(const at::Tensor& result) {
    made_.push_back({});
    if (!result.defined()) return result;
    for (const Place& place : places_) {
      if (result.unsafeGetTensorImpl() == place.host.unsafeGetTensorImpl()) {
        if (!place.fresh && result.sizes() != place.device.sizes())
          place.device.unsafeGetTensorImpl()->set_sizes_and_strides(
              result.sizes(), result.strides(), result.storage_offset());
        return place.device;
      }
      if (result.storage().unsafeGetStorageImpl() ==
          place.host.storage().unsafeGetStorageImpl()) {  // a view
        at::Tensor view = at::detail::make_tensor<c10::TensorImpl>(
            c10::TensorImpl::VIEW, c10::Storage(place.device.storage()), place.device.key_set(),
            result.dtype());
        view.unsafeGetTensorImpl()->set_sizes_and_strides(result.sizes(), result.strides(),
                                                          result.storage_offset());
        return view;
      }
    }
    const at::Tensor out = on_device(result);
    made_.back() = on_host(out);
    return out;
  }

  c10::OperatorHandle op_;
  c10::Stack arguments_, results_;
  std::vector<Place> places_;
  std::vector<at::Tensor> made_;  // one a result: its memory if it is new
};

void run_on_host(const c10::OperatorHandle& op, c10::Stack* stack) {
  const std::lock_guard lock(big_lock());
  const auto count = static_cast<ptrdiff_t>(op.schema().arguments().size());
  const std::string& name = op.schema().name();
  if (kHostWaits.contains(name)) host_reads(name, current_stream());
  c10::Stack results;
  submit(current_stream(), name, [&] {
    Call call(op, c10::Stack(stack->end() - count, stack->end()));
    call.run();
    results = call.device_results();
    return call.describe();
  });
  stack->erase(stack->end() - count, stack->end());
  for (IValue& result : results) stack->push_back(std::move(result));
}

at::Tensor empty(c10::SymIntArrayRef size, std::optional<at::ScalarType> dtype,
                 std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), device_allocator(),
                                   c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                   dtype.value_or(at::kFloat), format);
}

at::Tensor empty_strided(c10::SymIntArrayRef size, c10::SymIntArrayRef stride,
                         std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                         std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(
      C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), device_allocator(),
      c10::DispatchKeySet(c10::DispatchKey::CUDA), dtype.value_or(at::kFloat));
}

// Any of the two on the device, or both.
at::Tensor& copy(at::Tensor& self, const at::Tensor& source, bool non_blocking) {
  const std::lock_guard lock(big_lock());
  const StreamId stream = current_stream();
  const bool from_host = !source.is_cuda(), to_host = !self.is_cuda();
  const at::Tensor to = to_host ? self : on_host(self), from = from_host ? source : on_host(source);
  if (self.numel() == 0) return self;
  std::vector<Span> reads, writes;
  if (!from_host) reads.push_back(span_of(source));
  if (!to_host) writes.push_back(span_of(self));
  if (from_host && !(non_blocking && is_pinned(source.const_data_ptr())))
    host_reads("a copy from memory that is not pinned", stream);
  if (to_host) {
    if (!non_blocking || !is_pinned(self.const_data_ptr())) {
      host_reads("a copy to the host", stream);
      submit(stream, {"a copy to the host", reads, writes, [to, from] { to.copy_(from); }});
      host_reads("a copy to the host", stream);
      return self;
    }
    submit(stream, {"a copy to the host", reads, writes, [to, from, stream] {
                      const at::Tensor value = from.clone();
                      std::memset(to.mutable_data_ptr(), 0xff, to.nbytes());
                      deliver_later(stream, [to, value] { to.copy_(value); });
                    }});
    return self;
  }
  submit(stream, {"a copy", reads, writes, [to, from] { to.copy_(from); }});
  return self;
}

const at::Tensor& resize(const at::Tensor& self, c10::SymIntArrayRef size,
                         std::optional<at::MemoryFormat>) {
  set_size(self, C10_AS_INTARRAYREF_SLOW(size));
  return self;
}

int64_t plain_attention(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                        const std::optional<at::Tensor>&, double, bool, std::optional<double>,
                        bool) {
  return 0;  // sdp::SDPBackend::math
}

at::Tensor view(const at::Tensor& self, c10::SymIntArrayRef size) {
  return at::native::view(self, C10_AS_INTARRAYREF_SLOW(size));
}

at::Tensor as_strided(const at::Tensor& self, c10::SymIntArrayRef size, c10::SymIntArrayRef stride,
                      std::optional<c10::SymInt> offset) {
  return at::native::as_strided_tensorimpl(
      self, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride),
      offset ? std::optional(offset->guard_int(__FILE__, __LINE__)) : std::nullopt);
}

at::Tensor reshape_alias(const at::Tensor& self, c10::SymIntArrayRef size,
                         c10::SymIntArrayRef stride) {
  return at::native::_reshape_alias(self, C10_AS_INTARRAYREF_SLOW(size),
                                    C10_AS_INTARRAYREF_SLOW(stride));
}

TORCH_LIBRARY_IMPL(_, CUDA, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
}

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("copy_", copy);
  m.impl("resize_", resize);
  m.impl("view", view);
  m.impl("as_strided", as_strided);
  m.impl("_reshape_alias", reshape_alias);
  m.impl("unfold", at::native::unfold);
  // Composed of parts that ask for CUDA's own; one piece is enough here.
  for (const char* whole : {"convolution", "convolution_backward"})
    m.impl(whole, torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
}

const bool attention_chosen = [] {
  at::native::_fused_sdp_choice_stub.set_cuda_dispatch_ptr(&plain_attention);
  return true;
}();

}  // namespace
}  // namespace emulation
