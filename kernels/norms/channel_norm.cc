#include "kernels/norms/channel_norm.h"

#include <cmath>

#include <ATen/ATen.h>

#include "kernels/cuda_parts.h"
#include "kernels/kernel_isa.h"
#include "kernels/norms/channel_norm_kernel.h"
#include "kernels/pointers.h"
#include "tensor/float_types.h"

namespace lockstep {
namespace {

constexpr double kSmallestLength = 1e-12;

const ChannelNormKernel* channel_kernel_for(const at::Tensor& x) {
  if (!x.is_cpu() || x.size(2) * x.size(3) % kLanePositions != 0 || x.numel() == 0) return nullptr;
  if (kernel_isa() == KernelIsa::kAvx512) return &channel_norm_kernel_avx512();
  if (kernel_isa() == KernelIsa::kAvx2) return &channel_norm_kernel_avx2();
  return nullptr;
}

ChannelNormShape shape_of(const at::Tensor& x, bool silu) {
  return {x.size(0), x.size(1), x.size(2) * x.size(3), silu};
}

class FusedNorm : public torch::autograd::Function<FusedNorm> {
 public:
  // All float32 and contiguous.
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& g, const std::optional<at::Tensor>& condition,
                            bool silu) {
    const at::Tensor scale_shift = condition.value_or(at::Tensor());
    context->save_for_backward({x, g, scale_shift});
    context->saved_data["silu"] = silu;
    at::Tensor y = at::empty_like(x);
    channel_kernel_for(x)->forward(shape_of(x, silu), floats(x), floats(g), floats(scale_shift),
                                   y.mutable_data_ptr<float>());
    return y;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list outputs) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &g = saved[1], &scale_shift = saved[2];
    const at::Tensor dy = outputs[0].contiguous();
    at::Tensor dx = at::empty_like(x), dg = at::zeros_like(g), d_condition;
    if (scale_shift.defined()) d_condition = at::empty_like(scale_shift);
    channel_kernel_for(x)->backward(
        shape_of(x, context->saved_data["silu"].toBool()), floats(x), floats(g),
        floats(scale_shift), floats(dy), dx.mutable_data_ptr<float>(), dg.mutable_data_ptr<float>(),
        d_condition.defined() ? d_condition.mutable_data_ptr<float>() : nullptr);
    return {dx, dg, d_condition, {}};
  }
};

at::Tensor fused(const at::Tensor& x, const at::Tensor& g, const at::Tensor& scale_shift,
                 bool silu) {
  const at::Tensor values = x.to(at::kFloat).contiguous();
  std::optional<at::Tensor> condition;
  if (scale_shift.defined()) condition = scale_shift.to(at::kFloat).contiguous();
  return FusedNorm::apply(values, g.to(at::kFloat), condition, silu).to(x.scalar_type());
}

ChannelRowsShape rows_of(const at::Tensor& x, bool silu) {
  return {x.size(0), x.size(2) * x.size(3), x.size(1), silu, float_type_of(x.scalar_type())};
}

class RowsNorm : public torch::autograd::Function<RowsNorm> {
 public:
  // x channels last; g [1, C, 1, 1] and condition [B, 2C] float32 and contiguous.
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& g, const std::optional<at::Tensor>& condition,
                            bool silu) {
    const at::Tensor scale_shift = condition.value_or(at::Tensor());
    context->save_for_backward({x, g, scale_shift});
    context->saved_data["silu"] = silu;
    const kernels::CudaParts& kernels = kernels::kernels_for(x);
    at::Tensor y = at::empty_like(x);
    kernels.channel_rows_forward(rows_of(x, silu), x.const_data_ptr(), floats(g),
                                 floats(scale_shift), y.mutable_data_ptr(),
                                 kernels.current_stream());
    return y;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list outputs) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &g = saved[1], &scale_shift = saved[2];
    const ChannelRowsShape shape = rows_of(x, context->saved_data["silu"].toBool());
    const kernels::CudaParts& kernels = kernels::kernels_for(x);
    const at::Tensor dy = outputs[0].contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor dx = at::empty_like(x), dg = at::empty_like(g),
               workspace = at::empty({x.is_cuda() ? shape.workspace() : 0}, g.options());
    const at::Tensor d_condition =
        scale_shift.defined() ? at::empty_like(scale_shift) : at::Tensor();
    kernels.channel_rows_backward(
        shape, x.const_data_ptr(), floats(g), floats(scale_shift), dy.const_data_ptr(),
        dx.mutable_data_ptr(), dg.mutable_data_ptr<float>(),
        d_condition.defined() ? d_condition.mutable_data_ptr<float>() : nullptr,
        workspace.mutable_data_ptr<float>(), kernels.current_stream());
    return {dx, dg, d_condition, {}};
  }
};

}  // namespace

at::Tensor channel_norm_rows(const at::Tensor& x, const at::Tensor& g,
                             const at::Tensor& scale_shift, bool silu) {
  std::optional<at::Tensor> condition;
  if (scale_shift.defined()) condition = scale_shift.to(at::kFloat).contiguous();
  return RowsNorm::apply(x.contiguous(at::MemoryFormat::ChannelsLast), g.to(at::kFloat), condition,
                         silu);
}

at::Tensor channel_norm_reference(const at::Tensor& x, const at::Tensor& g,
                                  const at::Tensor& scale_shift, bool silu) {
  const at::Tensor values = x.to(at::kFloat);
  const int64_t channels = x.size(1);
  const at::Tensor length = values.norm(2, 1, /*keepdim=*/true).clamp_min(kSmallestLength);
  at::Tensor y = values / length * g * std::sqrt(static_cast<double>(channels));
  if (scale_shift.defined()) {
    const at::Tensor condition = scale_shift.to(at::kFloat).unsqueeze(-1).unsqueeze(-1);
    y = y * (condition.narrow(1, 0, channels) + 1) + condition.narrow(1, channels, channels);
  }
  return (silu ? at::silu(y) : y).to(x.scalar_type());
}

at::Tensor channel_norm(const at::Tensor& x, const at::Tensor& g) {
  return channel_kernel_for(x) != nullptr ? fused(x, g, {}, false)
                                          : channel_norm_reference(x, g, {}, false);
}

at::Tensor channel_norm_silu(const at::Tensor& x, const at::Tensor& g,
                             const at::Tensor& scale_shift) {
  return channel_kernel_for(x) != nullptr ? fused(x, g, scale_shift, true)
                                          : channel_norm_reference(x, g, scale_shift, true);
}

}  // namespace lockstep
