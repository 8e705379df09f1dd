#include "tensor/kept_values.h"

#include <ATen/ATen.h>

namespace lockstep {

KeptValues::KeptValues(std::vector<at::Tensor> tensors) : tensors_(std::move(tensors)) {
  const at::NoGradGuard no_grad;
  for (const at::Tensor& tensor : tensors_) values_.push_back(tensor.clone());
}

void KeptValues::put_back() const {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < tensors_.size(); ++i) at::Tensor(tensors_[i]).copy_(values_[i]);
}

}  // namespace lockstep
