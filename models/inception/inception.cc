#include "models/inception/inception.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include "core/errors.h"

namespace lockstep {
namespace {

at::Tensor average_pool(const at::Tensor& x) {
  return at::avg_pool2d(x, {3, 3}, {1, 1}, {1, 1}, /*ceil_mode=*/false,
                        /*count_include_pad=*/false);
}

// While it lives, products of float32 on a GPU are rounded to TF32, or not. Of the whole process.
class ProductsIn {
 public:
  ProductsIn(bool tf32, const at::Device& device)
      : active_(!device.is_cpu()),
        cublas_(active_ && at::globalContext().allowTF32CuBLAS()),
        cudnn_(active_ && at::globalContext().allowTF32CuDNN()) {
    if (active_) set(tf32, tf32);
  }
  ~ProductsIn() {
    if (active_) set(cublas_, cudnn_);
  }
  ProductsIn(const ProductsIn&) = delete;
  ProductsIn& operator=(const ProductsIn&) = delete;

 private:
  static void set(bool cublas, bool cudnn) {
    at::globalContext().setAllowTF32CuBLAS(cublas);
    at::globalContext().setAllowTF32CuDNN(cudnn);
  }
  const bool active_, cublas_, cudnn_;
};

at::Tensor halve(const at::Tensor& x) { return at::max_pool2d(x, {3, 3}, {2, 2}); }

}  // namespace

at::Tensor Inception::conv(const std::string& name, const at::Tensor& x) const {
  const Folded& layer = convolutions_.at(name);
  return at::conv2d(x, layer.weight, layer.bias, {layer.stride, layer.stride},
                    {layer.pad_y, layer.pad_x})
      .relu_();
}

at::Tensor Inception::chain(const std::string& block, const std::vector<const char*>& names,
                            at::Tensor x) const {
  for (const char* name : names) x = conv(block + "." + name, x);
  return x;
}

at::Tensor Inception::block_a(const std::string& name, const at::Tensor& x) const {
  return at::cat({chain(name, {"branch1x1"}, x), chain(name, {"branch5x5_1", "branch5x5_2"}, x),
                  chain(name, {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"}, x),
                  chain(name, {"branch_pool"}, average_pool(x))},
                 1);
}

at::Tensor Inception::block_b(const std::string& name, const at::Tensor& x) const {
  return at::cat({chain(name, {"branch3x3"}, x),
                  chain(name, {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"}, x), halve(x)},
                 1);
}

at::Tensor Inception::block_c(const std::string& name, const at::Tensor& x) const {
  return at::cat(
      {chain(name, {"branch1x1"}, x), chain(name, {"branch7x7_1", "branch7x7_2", "branch7x7_3"}, x),
       chain(name,
             {"branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4",
              "branch7x7dbl_5"},
             x),
       chain(name, {"branch_pool"}, average_pool(x))},
      1);
}

at::Tensor Inception::block_d(const std::string& name, const at::Tensor& x) const {
  return at::cat(
      {chain(name, {"branch3x3_1", "branch3x3_2"}, x),
       chain(name, {"branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"}, x),
       halve(x)},
      1);
}

at::Tensor Inception::block_e(const std::string& name, const at::Tensor& x, bool max_pool) const {
  const at::Tensor three = chain(name, {"branch3x3_1"}, x),
                   twice = chain(name, {"branch3x3dbl_1", "branch3x3dbl_2"}, x);
  const at::Tensor pooled = max_pool ? at::max_pool2d(x, {3, 3}, {1, 1}, {1, 1}) : average_pool(x);
  return at::cat({chain(name, {"branch1x1"}, x), chain(name, {"branch3x3_2a"}, three),
                  chain(name, {"branch3x3_2b"}, three), chain(name, {"branch3x3dbl_3a"}, twice),
                  chain(name, {"branch3x3dbl_3b"}, twice), chain(name, {"branch_pool"}, pooled)},
                 1);
}

void Inception::place(at::Device device, bool tf32) {
  const at::NoGradGuard no_grad;
  tf32_ = tf32;
  // Channels last: oneDNN's kernels then work without reordering, in two thirds of the time, and
  // tensor cores want it; cuDNN's convolutions without them are made for channels first.
  format_ = device.is_cpu() || tf32 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  for (const auto& [name, layer] : convolutions_) {
    at::Tensor weight = layer.weight, bias = layer.bias;
    weight.set_data(weight.to(device).contiguous(format_));
    bias.set_data(bias.to(device));
  }
}

at::Tensor Inception::features(const at::Tensor& x_BCHW) const {
  if (x_BCHW.dim() != 4 || x_BCHW.size(1) != 3 || x_BCHW.size(2) < 75 || x_BCHW.size(3) < 75)
    throw InternalError("Inception wants pictures of 3 channels and at least 75 pixels a side");
  const at::NoGradGuard no_grad;
  // Evaluations may run under autocast; features are float32 all the same.
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  const ProductsIn products(tf32_, x_BCHW.device());
  const at::Tensor input = x_BCHW.contiguous(format_);
  at::Tensor x = conv("Conv2d_2b_3x3", conv("Conv2d_2a_3x3", conv("Conv2d_1a_3x3", input)));
  x = halve(x);
  if (dimensions_ >= 192) x = halve(conv("Conv2d_4a_3x3", conv("Conv2d_3b_1x1", x)));
  if (dimensions_ >= 768) {
    for (const char* name : {"Mixed_5b", "Mixed_5c", "Mixed_5d"}) x = block_a(name, x);
    x = block_b("Mixed_6a", x);
    for (const char* name : {"Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"}) x = block_c(name, x);
  }
  if (dimensions_ == 2048)
    x = block_e("Mixed_7c", block_e("Mixed_7b", block_d("Mixed_7a", x), false), true);
  return at::adaptive_avg_pool2d(x, {1, 1}).flatten(1);
}

}  // namespace lockstep
