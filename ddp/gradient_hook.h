// A call when autograd has added to a parameter's gradient.
#pragma once

#include <functional>

#include <ATen/core/Tensor.h>

namespace lockstep {

inline bool is_float32(const at::Tensor& tensor) { return tensor.scalar_type() == at::kFloat; }

// `fired` is called on the thread that computes the gradient: on CPUs the one that called backward,
// on a device autograd's own. It takes the place of an earlier one.
void on_gradient(const at::Tensor& parameter, std::function<void()> fired);

// No more calls, and no gradient: it may lie in an arena that is about to go.
void forget_gradient(const at::Tensor& parameter);

}  // namespace lockstep
