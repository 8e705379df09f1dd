#include "kernels/language/row_kernels.h"

#include "kernels/kernel_isa.h"

namespace lockstep {
namespace {

const RowKernels& best_row_kernels() {
  switch (kernel_isa()) {
    case KernelIsa::kAvx512:
      return row_kernels_avx512();
    case KernelIsa::kAvx2:
      return row_kernels_avx2();
    case KernelIsa::kNone:
      break;
  }
  return row_kernels_generic();
}

}  // namespace

namespace cpu {

void swiglu_forward(const SwigluShape& shape, const void* gate, const void* up, void* y,
                    void* stream) {
  best_row_kernels().swiglu_forward(shape, gate, up, y, stream);
}
void swiglu_backward(const SwigluShape& shape, const void* gate, const void* up, const void* dy,
                     void* dgate, void* dup, void* stream) {
  best_row_kernels().swiglu_backward(shape, gate, up, dy, dgate, dup, stream);
}
void rms_norm_forward(const RmsNormShape& shape, const void* x, const void* residual,
                      const float* weight, void* h, void* y, float* rstd, void* stream) {
  best_row_kernels().rms_norm_forward(shape, x, residual, weight, h, y, rstd, stream);
}
void rms_norm_backward(const RmsNormShape& shape, const void* h, const float* weight,
                       const float* rstd, const void* dy, const void* dh, void* dx, float* dw,
                       float* workspace, void* stream) {
  best_row_kernels().rms_norm_backward(shape, h, weight, rstd, dy, dh, dx, dw, workspace, stream);
}
void rotary_forward(const RotaryShape& shape, const void* x, const float* cosines,
                    const float* sines, const int32_t* positions, void* y, float* rstd,
                    void* stream) {
  best_row_kernels().rotary_forward(shape, x, cosines, sines, positions, y, rstd, stream);
}
void rotary_backward(const RotaryShape& shape, const void* y, const float* rstd,
                     const float* cosines, const float* sines, const int32_t* positions,
                     const void* dy, void* dx, void* stream) {
  best_row_kernels().rotary_backward(shape, y, rstd, cosines, sines, positions, dy, dx, stream);
}
void cross_entropy_forward(const CrossEntropyShape& shape, const void* logits,
                           const int64_t* targets, float* losses, float* log_sums, void* stream) {
  best_row_kernels().cross_entropy_forward(shape, logits, targets, losses, log_sums, stream);
}
void cross_entropy_backward(const CrossEntropyShape& shape, const void* logits,
                            const int64_t* targets, const float* log_sums, const float* d_losses,
                            void* dlogits, void* stream) {
  best_row_kernels().cross_entropy_backward(shape, logits, targets, log_sums, d_losses, dlogits,
                                            stream);
}

}  // namespace cpu
}  // namespace lockstep
