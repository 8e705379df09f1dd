#include "kernels/norms/group_norm_silu.h"

#include <ATen/ATen.h>

#include "kernels/cuda_parts.h"
#include "kernels/kernel_isa.h"
#include "kernels/norms/group_norm_lanes.h"
#include "tensor/float_types.h"

namespace lockstep {
namespace {

const GroupNormLanes* group_kernel_for(const at::Tensor& x) {
  const bool fits = x.is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 4 && x.numel() > 0 &&
                    x.size(1) % kLaneChannels == 0 &&
                    x.is_contiguous(at::MemoryFormat::ChannelsLast);
  if (!fits) return nullptr;
  if (kernel_isa() == KernelIsa::kAvx512) return &group_norm_lanes_avx512();
  if (kernel_isa() == KernelIsa::kAvx2) return &group_norm_lanes_avx2();
  return nullptr;
}

GroupNormLanesShape shape_of(const at::Tensor& x, int64_t groups, double eps) {
  return {x.size(0), x.size(2) * x.size(3), x.size(1), groups, static_cast<float>(eps)};
}

at::Tensor workspace_of(const GroupNormLanesShape& shape) {
  return at::empty({shape.workspace()}, at::kFloat);
}

class FusedGroupNorm : public torch::autograd::Function<FusedGroupNorm> {
 public:
  // x and residual float32 and channels last.
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& gamma, const at::Tensor& beta,
                            const std::optional<at::Tensor>& residual, int64_t groups, double eps) {
    const GroupNormLanesShape shape = shape_of(x, groups, eps);
    at::Tensor y = at::empty_like(x), statistics = at::empty({shape.images, groups, 2}, at::kFloat),
               workspace = workspace_of(shape);
    group_kernel_for(x)->forward(shape, x.const_data_ptr<float>(), gamma.const_data_ptr<float>(),
                                 beta.const_data_ptr<float>(),
                                 residual ? residual->const_data_ptr<float>() : nullptr,
                                 y.mutable_data_ptr<float>(), statistics.mutable_data_ptr<float>(),
                                 workspace.mutable_data_ptr<float>());
    context->save_for_backward({x, gamma, beta, statistics});
    context->saved_data["groups"] = groups;
    context->saved_data["eps"] = eps;
    context->saved_data["residual"] = residual.has_value();
    return y;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list outputs) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &gamma = saved[1], &beta = saved[2], &statistics = saved[3];
    const GroupNormLanesShape shape =
        shape_of(x, context->saved_data["groups"].toInt(), context->saved_data["eps"].toDouble());
    const at::Tensor dy = outputs[0].contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor dx = at::empty_like(x), sums = at::zeros({2, shape.channels}, at::kDouble),
               workspace = workspace_of(shape);
    auto* dgamma = sums.mutable_data_ptr<double>();
    group_kernel_for(x)->backward(shape, x.const_data_ptr<float>(), gamma.const_data_ptr<float>(),
                                  beta.const_data_ptr<float>(), statistics.const_data_ptr<float>(),
                                  dy.const_data_ptr<float>(), dx.mutable_data_ptr<float>(), dgamma,
                                  dgamma + shape.channels, workspace.mutable_data_ptr<float>());
    const at::Tensor rounded = sums.to(at::kFloat);
    const bool has_residual = context->saved_data["residual"].toBool();
    return {dx, rounded[0], rounded[1], has_residual ? dy : at::Tensor(), {}, {}};
  }
};

GroupNormShape rows_of(const at::Tensor& x, int64_t groups, double eps) {
  GroupNormShape shape{x.size(0), x.size(2) * x.size(3),   x.size(1),
                       groups,    static_cast<float>(eps), /*silu=*/true};
  shape.type = float_type_of(x.scalar_type());
  return shape;
}

at::Tensor rows_workspace(const GroupNormShape& shape, const at::Tensor& x) {
  return at::empty({x.is_cuda() ? shape.workspace() : 0}, x.options().dtype(at::kFloat));
}

class RowsGroupNorm : public torch::autograd::Function<RowsGroupNorm> {
 public:
  // x and residual channels last and of one dtype; gamma and beta float32.
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& gamma, const at::Tensor& beta,
                            const std::optional<at::Tensor>& residual, int64_t groups, double eps) {
    const GroupNormShape shape = rows_of(x, groups, eps);
    const kernels::CudaParts& kernels = kernels::kernels_for(x);
    at::Tensor y = at::empty_like(x),
               statistics = at::empty({shape.batch, groups, 2}, gamma.options());
    at::Tensor workspace = rows_workspace(shape, x);
    GroupNormInputs in{x.const_data_ptr(), gamma.const_data_ptr<float>(),
                       beta.const_data_ptr<float>()};
    if (residual) in.residual = residual->const_data_ptr();
    kernels.group_norm_forward(shape, in, y.mutable_data_ptr(),
                               statistics.mutable_data_ptr<float>(),
                               workspace.mutable_data_ptr<float>(), kernels.current_stream());
    context->save_for_backward({x, gamma, beta, statistics});
    context->saved_data["eps"] = eps;
    context->saved_data["residual"] = residual.has_value();
    return y;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list outputs) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &gamma = saved[1], &beta = saved[2], &statistics = saved[3];
    const GroupNormShape shape =
        rows_of(x, statistics.size(1), context->saved_data["eps"].toDouble());
    const kernels::CudaParts& kernels = kernels::kernels_for(x);
    const at::Tensor dy = outputs[0].contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor dx = at::empty_like(x), dgamma = at::empty_like(gamma), dbeta = at::empty_like(beta);
    at::Tensor workspace = rows_workspace(shape, x);
    const GroupNormInputs in{x.const_data_ptr(), gamma.const_data_ptr<float>(),
                             beta.const_data_ptr<float>()};
    const GroupNormGradients out{dx.mutable_data_ptr(), dgamma.mutable_data_ptr<float>(),
                                 dbeta.mutable_data_ptr<float>()};
    kernels.group_norm_backward(shape, in, statistics.const_data_ptr<float>(), dy.const_data_ptr(),
                                out, workspace.mutable_data_ptr<float>(), kernels.current_stream());
    return {dx, dgamma, dbeta, context->saved_data["residual"].toBool() ? dy : at::Tensor(),
            {}, {}};
  }
};

}  // namespace

at::Tensor group_norm_silu_rows(const at::Tensor& x, int64_t groups, const at::Tensor& gamma,
                                const at::Tensor& beta, double eps, const at::Tensor& residual) {
  std::optional<at::Tensor> more;
  if (residual.defined())
    more = residual.to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
  return RowsGroupNorm::apply(x.contiguous(at::MemoryFormat::ChannelsLast), gamma.to(at::kFloat),
                              beta.to(at::kFloat), more, groups, eps);
}

at::Tensor group_norm_silu_reference(const at::Tensor& x, int64_t groups, const at::Tensor& gamma,
                                     const at::Tensor& beta, double eps,
                                     const at::Tensor& residual) {
  const at::Tensor y = at::silu(at::group_norm(x, groups, gamma, beta, eps));
  return residual.defined() ? residual + y : y;
}

at::Tensor group_norm_silu(const at::Tensor& x, int64_t groups, const at::Tensor& gamma,
                           const at::Tensor& beta, double eps, const at::Tensor& residual) {
  if (x.is_cuda()) return group_norm_silu_rows(x, groups, gamma, beta, eps, residual);
  const bool fits = group_kernel_for(x) != nullptr && gamma.scalar_type() == at::kFloat &&
                    (!residual.defined() ||
                     (residual.scalar_type() == at::kFloat && residual.sizes() == x.sizes() &&
                      residual.is_contiguous(at::MemoryFormat::ChannelsLast)));
  if (!fits) return group_norm_silu_reference(x, groups, gamma, beta, eps, residual);
  return FusedGroupNorm::apply(
      x, gamma, beta, residual.defined() ? std::optional(residual) : std::nullopt, groups, eps);
}

}  // namespace lockstep
