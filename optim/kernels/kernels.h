// The loops over the arena: one pass that scales and clips the gradient, updates moments and
// weights, and moves the EMA; and the sum of squares for the norm.
//
// The same source is compiled for the instruction sets below (kernels_impl.h). Every element goes
// through the same IEEE operations in the same order, without contraction, and the sums have fixed
// lanes, so all of them give equal bits; the widest that the CPU has is chosen at run time.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

// What happens to a gradient before the update: (g · multiplier) · clip, each rounded once.
struct GradientFactors {
  float multiplier = 1;
  float clip = 1;
};

// ema = copy ? w : ema + weight · (w − ema), after the update. `ema` null: none.
struct EmaFactors {
  float* ema = nullptr;
  bool copy = false;
  float weight = 0;
};

// PyTorch's Adam and AdamW (torch.optim, single-tensor path), for one stretch of the arena.
struct AdamFactors {
  float beta1_rest = 0.1f;  // 1 − beta1
  float beta2 = 0.999f;
  float beta2_rest = 0.001f;  // 1 − beta2
  float decay = 0;            // L2: added to the gradient times w (Adam)
  float shrink = 1;           // 1 − lr·weight_decay (AdamW)
  float step_size = 0;        // lr / (1 − beta1^t)
  float bias2_root = 1;       // √(1 − beta2^t)
  float eps = 1e-8f;
};

struct SgdFactors {
  float lr = 0;
  float decay = 0;
  float momentum = 0;
  float dampening_rest = 1;  // 1 − dampening
  bool nesterov = false;
  bool first = false;  // the buffer starts as the gradient
};

// All pointers to the first element of the stretch.
struct AdamArrays {
  float* weights;
  const float* gradients;
  float* exp_avg;
  float* exp_avg_sq;
};
struct SgdArrays {
  float* weights;
  const float* gradients;
  float* momentum;  // null without momentum
};

struct OptimizerKernels {
  const char* isa;
  void (*adam)(const AdamArrays&, int64_t count, const AdamFactors&, const GradientFactors&,
               const EmaFactors&);
  void (*sgd)(const SgdArrays&, int64_t count, const SgdFactors&, const GradientFactors&,
              const EmaFactors&);
  void (*ema)(const float* weights, int64_t count, const EmaFactors&);
  // Σ (g · multiplier)² in 8 double lanes (element mod 8), lanes added pairwise (design rule 7).
  double (*sum_of_squares)(const float* gradients, int64_t count, float multiplier);
};

// One instruction set: "generic", "avx2" or "avx512"; null if the CPU lacks it.
const OptimizerKernels* optimizer_kernels(const std::string& isa);
// The widest that this CPU has. `run.cpu_isa: avx2` need not be obeyed here: bits are equal.
const OptimizerKernels& optimizer_kernels();

namespace cpu {
extern const OptimizerKernels kGenericKernels;
extern const OptimizerKernels kAvx2Kernels;
extern const OptimizerKernels kAvx512Kernels;
}  // namespace cpu

}  // namespace lockstep
