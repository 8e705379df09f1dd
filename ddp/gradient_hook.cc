#include "ddp/gradient_hook.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <memory>
#include <utility>

namespace lockstep {
namespace {

class GradientHook final : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit GradientHook(std::function<void()> fired) : fired_(std::move(fired)) {}
  void operator()(const torch::autograd::Variable&) override { fired_(); }

 private:
  std::function<void()> fired_;
};

}  // namespace

void on_gradient(const at::Tensor& parameter, std::function<void()> fired) {
  torch::autograd::impl::set_post_acc_grad_hooks(parameter,
                                                 std::make_unique<GradientHook>(std::move(fired)));
}

void forget_gradient(const at::Tensor& parameter) {
  torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
  parameter.mutable_grad().reset();
}

}  // namespace lockstep
