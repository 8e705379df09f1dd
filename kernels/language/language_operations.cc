#include "kernels/language/language_operations.h"

#include <cmath>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "kernels/cuda_parts.h"
#include "kernels/pointers.h"
#include "tensor/float_types.h"

namespace lockstep {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

at::Tensor or_none(const std::optional<at::Tensor>& t) { return t ? *t : at::Tensor(); }
std::optional<at::Tensor> given(const at::Tensor& t) {
  return t.defined() ? std::optional(t) : std::nullopt;
}

RmsNormShape norm_shape(const at::Tensor& x, double eps) {
  const int64_t columns = x.size(-1);
  return {columns == 0 ? 0 : x.numel() / columns, columns, static_cast<float>(eps),
          float_type_of(x.scalar_type())};
}

// Dense x and residual. With a residual: {sum, normed}, else {normed}.
class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static tensor_list forward(AutogradContext* context, const at::Tensor& x,
                             const std::optional<at::Tensor>& residual,
                             const std::optional<at::Tensor>& weight, double eps) {
    const kernels::CudaParts& kernels = kernels::kernels_for(x);
    const RmsNormShape shape = norm_shape(x, eps);
    at::Tensor sum = residual ? at::empty_like(x) : at::Tensor(), normed = at::empty_like(x);
    at::Tensor rstd = at::empty({shape.rows}, x.options().dtype(at::kFloat));
    kernels.rms_norm_forward(shape, data(x), data(or_none(residual)), floats(or_none(weight)),
                             residual ? sum.mutable_data_ptr() : nullptr, normed.mutable_data_ptr(),
                             rstd.mutable_data_ptr<float>(), kernels.current_stream());
    context->save_for_backward({residual ? sum : x, or_none(weight), rstd});
    context->saved_data["eps"] = eps;
    context->saved_data["residual"] = residual.has_value();
    return residual ? tensor_list{sum, normed} : tensor_list{normed};
  }

  static tensor_list backward(AutogradContext* context, tensor_list outputs) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &h = saved[0], &weight = saved[1];
    const bool residual = context->saved_data["residual"].toBool();
    const RmsNormShape shape = norm_shape(h, context->saved_data["eps"].toDouble());
    const kernels::CudaParts& kernels = kernels::kernels_for(h);
    const at::Tensor past = residual ? outputs[0] : at::Tensor(), through = outputs.back();
    const at::Tensor dh = past.defined() ? past.contiguous() : at::Tensor();
    const at::Tensor dy = through.defined() ? through.contiguous() : at::zeros_like(h);
    at::Tensor dx = at::empty_like(h),
               dw = weight.defined() ? at::empty_like(weight) : at::Tensor();
    at::Tensor workspace =
        at::empty({h.is_cuda() && dw.defined() ? shape.workspace() : 0}, saved[2].options());
    kernels.rms_norm_backward(shape, data(h), floats(weight), floats(saved[2]), data(dy), data(dh),
                              dx.mutable_data_ptr(),
                              dw.defined() ? dw.mutable_data_ptr<float>() : nullptr,
                              workspace.mutable_data_ptr<float>(), kernels.current_stream());
    return {dx, residual ? dx : at::Tensor(), dw, {}};
  }
};

at::Tensor norm_by_operations(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor values = x.to(at::kFloat);
  at::Tensor y = values * at::rsqrt(values.square().mean(-1, /*keepdim=*/true) + eps);
  if (weight.defined()) y = y * weight;
  return y.to(x.scalar_type());
}

SwigluShape swiglu_shape(const at::Tensor& gate) {
  const int64_t columns = gate.size(-1);
  return {columns == 0 ? 0 : gate.numel() / columns, columns, columns,
          float_type_of(gate.scalar_type())};
}

class Swiglu : public torch::autograd::Function<Swiglu> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate,
                            const at::Tensor& up) {
    const kernels::CudaParts& kernels = kernels::kernels_for(gate);
    at::Tensor y = at::empty_like(gate);
    kernels.swiglu_forward(swiglu_shape(gate), data(gate), data(up), y.mutable_data_ptr(),
                           kernels.current_stream());
    context->save_for_backward({gate, up});
    return y;
  }

  static tensor_list backward(AutogradContext* context, tensor_list outputs) {
    const auto saved = context->get_saved_variables();
    const kernels::CudaParts& kernels = kernels::kernels_for(saved[0]);
    const at::Tensor dy = outputs[0].contiguous();
    at::Tensor dgate = at::empty_like(saved[0]), dup = at::empty_like(saved[1]);
    kernels.swiglu_backward(swiglu_shape(saved[0]), data(saved[0]), data(saved[1]), data(dy),
                            dgate.mutable_data_ptr(), dup.mutable_data_ptr(),
                            kernels.current_stream());
    return {dgate, dup};
  }
};

// Gate and up as halves of each row: nothing is copied apart.
class SwigluOfHalves : public torch::autograd::Function<SwigluOfHalves> {
 public:
  static SwigluShape shape_of(const at::Tensor& both) {
    const int64_t columns = both.size(-1) / 2;
    return {columns == 0 ? 0 : both.numel() / (2 * columns), columns, 2 * columns,
            float_type_of(both.scalar_type())};
  }
  static const char* half(const void* both, const SwigluShape& shape) {
    return static_cast<const char*>(both) + shape.columns * bytes_of(shape.type);
  }

  static at::Tensor forward(AutogradContext* context, const at::Tensor& both) {
    const kernels::CudaParts& kernels = kernels::kernels_for(both);
    const SwigluShape shape = shape_of(both);
    std::vector<int64_t> sizes = both.sizes().vec();
    sizes.back() = shape.columns;
    at::Tensor y = at::empty(sizes, both.options());
    kernels.swiglu_forward(shape, data(both), half(data(both), shape), y.mutable_data_ptr(),
                           kernels.current_stream());
    context->save_for_backward({both});
    return y;
  }

  static tensor_list backward(AutogradContext* context, tensor_list outputs) {
    const at::Tensor both = context->get_saved_variables()[0], dy = outputs[0].contiguous();
    const kernels::CudaParts& kernels = kernels::kernels_for(both);
    const SwigluShape shape = shape_of(both);
    at::Tensor d = at::empty_like(both);
    kernels.swiglu_backward(
        shape, data(both), half(data(both), shape), data(dy), d.mutable_data_ptr(),
        const_cast<char*>(half(d.mutable_data_ptr(), shape)), kernels.current_stream());
    return {d};
  }
};

RotaryShape rotary_shape(const at::Tensor& x, const RotaryUse& use, int64_t stride) {
  return {x.size(0) * x.size(1),
          x.size(2),
          x.size(3),
          stride,
          x.size(1),
          use.normalize,
          static_cast<float>(use.eps),
          float_type_of(x.scalar_type())};
}

class Rotary : public torch::autograd::Function<Rotary> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& cosines, const at::Tensor& sines,
                            const std::optional<at::Tensor>& positions, bool normalize,
                            double eps) {
    const kernels::CudaParts& kernels = kernels::kernels_for(x);
    const RotaryShape shape = rotary_shape(x, {normalize, eps}, x.stride(1));
    at::Tensor y = at::empty(x.sizes(), x.options());
    at::Tensor rstd = at::empty({normalize ? shape.tokens * shape.heads : 0}, cosines.options());
    kernels.rotary_forward(shape, data(x), floats(cosines), floats(sines),
                           place_of(or_none(positions)), y.mutable_data_ptr(),
                           rstd.mutable_data_ptr<float>(), kernels.current_stream());
    context->save_for_backward(
        {normalize ? y : at::Tensor(), rstd, cosines, sines, or_none(positions)});
    context->saved_data["normalize"] = normalize;
    return y;
  }

  static tensor_list backward(AutogradContext* context, tensor_list outputs) {
    const auto saved = context->get_saved_variables();
    const at::Tensor dy = outputs[0].contiguous();
    const kernels::CudaParts& kernels = kernels::kernels_for(dy);
    at::Tensor dx = at::empty_like(dy);
    const RotaryShape shape =
        rotary_shape(dy, {context->saved_data["normalize"].toBool(), 0}, dy.size(2) * dy.size(3));
    kernels.rotary_backward(shape, data(saved[0]), floats(saved[1]), floats(saved[2]),
                            floats(saved[3]), place_of(saved[4]), data(dy), dx.mutable_data_ptr(),
                            kernels.current_stream());
    return {dx, {}, {}, {}, {}, {}};
  }

 private:
  static const int32_t* place_of(const at::Tensor& positions) {
    return positions.defined() ? positions.const_data_ptr<int32_t>() : nullptr;
  }
};

at::Tensor rotary_by_operations(const at::Tensor& x, const RotaryTable& table,
                                const at::Tensor& positions, const RotaryUse& use) {
  const int64_t rows = x.size(0), sequence = x.size(1), half = x.size(3) / 2;
  const auto rows_of = [&](const at::Tensor& values) {
    return positions.defined()
               ? values.index_select(0, positions.to(at::kLong)).view({rows, sequence, 1, half})
               : values.narrow(0, 0, sequence).view({1, sequence, 1, half});
  };
  const at::Tensor cosines = rows_of(table.cosines), sines = rows_of(table.sines),
                   values = x.to(at::kFloat);
  const at::Tensor a = values.narrow(3, 0, half), b = values.narrow(3, half, half);
  at::Tensor y = at::cat({a * cosines + b * sines, b * cosines - a * sines}, 3);
  if (use.normalize) y = y * at::rsqrt(y.square().mean(-1, true) + use.eps);
  return y.to(x.scalar_type());
}

CrossEntropyShape entropy_shape(const at::Tensor& logits, double softcap) {
  return {logits.size(0), logits.size(1), logits.stride(0), static_cast<float>(softcap),
          float_type_of(logits.scalar_type())};
}

class CrossEntropy : public torch::autograd::Function<CrossEntropy> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& logits,
                            const at::Tensor& targets, double softcap, bool overwrite) {
    const kernels::CudaParts& kernels = kernels::kernels_for(logits);
    at::Tensor losses = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat)),
               sums = at::empty_like(losses);
    kernels.cross_entropy_forward(
        entropy_shape(logits, softcap), data(logits), targets.const_data_ptr<int64_t>(),
        losses.mutable_data_ptr<float>(), sums.mutable_data_ptr<float>(), kernels.current_stream());
    context->save_for_backward({logits, targets, sums});
    context->saved_data["softcap"] = softcap;
    context->saved_data["overwrite"] = overwrite;
    return losses;
  }

  static tensor_list backward(AutogradContext* context, tensor_list outputs) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &logits = saved[0], d_losses = outputs[0].contiguous();
    const kernels::CudaParts& kernels = kernels::kernels_for(logits);
    at::Tensor d = context->saved_data["overwrite"].toBool()
                       ? logits.detach()
                       : at::empty_strided(logits.sizes(), logits.strides(), logits.options());
    kernels.cross_entropy_backward(entropy_shape(logits, context->saved_data["softcap"].toDouble()),
                                   data(logits), saved[1].const_data_ptr<int64_t>(),
                                   floats(saved[2]), floats(d_losses), d.mutable_data_ptr(),
                                   kernels.current_stream());
    return {d, {}, {}, {}};
  }
};

void check_targets(const at::Tensor& targets, int64_t vocabulary) {
  if (targets.is_cuda() || targets.numel() == 0) return;
  const int64_t smallest = targets.min().item<int64_t>(), largest = targets.max().item<int64_t>();
  if (smallest >= -1 && largest < vocabulary) return;
  throw DataError(
      fmt::format("a target is {}, and the vocabulary has {} words",
                  smallest < -1 ? smallest : largest, vocabulary),
      "targets are 0 to the vocabulary's size less one, or -1 where no word is to be predicted");
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    const LanguageKernelOptions& options) {
  if (!options.fused) return norm_by_operations(x, weight, eps);
  return RmsNorm::apply(x.contiguous(), std::optional<at::Tensor>(), given(weight), eps)[0];
}

NormedSum add_rms_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                       double eps, const LanguageKernelOptions& options) {
  if (!options.fused) {
    const at::Tensor sum = x + residual;
    return {sum, norm_by_operations(sum, weight, eps)};
  }
  const tensor_list both =
      RmsNorm::apply(x.contiguous(), given(residual.contiguous()), given(weight), eps);
  return {both[0], both[1]};
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up,
                  const LanguageKernelOptions& options) {
  if (!options.fused) return at::silu(gate) * up;
  return Swiglu::apply(gate.contiguous(), up.contiguous());
}

at::Tensor swiglu(const at::Tensor& gate_up, const LanguageKernelOptions& options) {
  const int64_t half = gate_up.size(-1) / 2;
  if (!options.fused) return at::silu(gate_up.narrow(-1, 0, half)) * gate_up.narrow(-1, half, half);
  return SwigluOfHalves::apply(gate_up.contiguous());
}

RotaryTable rotary_table(int64_t positions, int64_t head_size, double theta,
                         at::ScalarType rounded_to, at::Device device) {
  const at::Tensor frequencies = at::pow(
      theta, at::arange(0, head_size, 2, at::kDouble).mul(-1.0 / static_cast<double>(head_size)));
  const at::Tensor angles = at::outer(at::arange(positions, at::kDouble), frequencies);
  const auto entry = [&](const at::Tensor& values) {
    return values.to(rounded_to).to(at::kFloat).to(device);
  };
  return {entry(angles.cos()), entry(angles.sin())};
}

at::Tensor rotary(const at::Tensor& x, const RotaryTable& table, const at::Tensor& positions,
                  const RotaryUse& use, const LanguageKernelOptions& options) {
  if (x.dim() != 4 || x.size(3) % 2 != 0)
    throw InternalError("rotary positions take [B, T, H, D] with D even");
  if (!options.fused) return rotary_by_operations(x, table, positions, use);
  // Heads of a token together, tokens at equal distances: true of a part of a fused projection.
  const bool regular = x.stride(3) == 1 && x.stride(2) == x.size(3) &&
                       (x.size(0) == 1 || x.stride(0) == x.stride(1) * x.size(1));
  return Rotary::apply(regular ? x : x.contiguous(), table.cosines, table.sines, given(positions),
                       use.normalize, use.eps);
}

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& targets, double softcap,
                         const LanguageKernelOptions& options) {
  check_targets(targets, logits.size(1));
  if (!options.fused) {
    const at::Tensor values = logits.to(at::kFloat);
    return at::cross_entropy_loss(softcap == 0 ? values : at::tanh(values / softcap) * softcap,
                                  targets, {}, at::Reduction::None, -1);
  }
  return CrossEntropy::apply(logits.stride(1) == 1 ? logits : logits.contiguous(),
                             targets.contiguous(), softcap, options.overwrite_logits);
}

}  // namespace lockstep
