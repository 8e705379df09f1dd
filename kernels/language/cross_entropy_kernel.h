// Cross-entropy of softly capped logits as one operation, on the GPU and on the CPU.
//
//     z    = cap·tanh(l/cap)      (cap 0: z = l)
//     loss = log Σ e^z − z_target
//     dl   = g·(softmax(z) − onehot)·(1 − (z/cap)²)
//
// Nothing of the logits' size is kept or made in float32: forward keeps log Σ e^z of each row,
// backward may write over the logits. Cap: Gemma Team, "Gemma 2", 2024, arXiv:2408.00118, 2. The
// maximum and the sum come from one pass: Milakov and Gimelshein, "Online normalizer calculation
// for softmax", 2018, arXiv:1805.02867, algorithm 3.
//
// Memory: forward reads the logits, backward reads and writes them.
#pragma once

#include <cstdint>

#include "core/float_type.h"

namespace lockstep {

struct CrossEntropyShape {
  int64_t rows = 0, vocabulary = 0;
  int64_t row_stride =
      0;          // elements from a row of logits (and of dlogits) to the next: a padded vocabulary
  float cap = 0;  // 0: none
  FloatType type = FloatType::kFloat32;  // of logits and dlogits
};

inline constexpr int64_t kIgnoredTarget = -1;  // loss and gradient 0

// targets i64 [rows]; one that is neither ignored nor a word gives NaN. losses, log_sums, d_losses
// f32 [rows]. dlogits may be logits; columns behind the vocabulary are not touched.
namespace cuda {
void cross_entropy_forward(const CrossEntropyShape& shape, const void* logits,
                           const int64_t* targets, float* losses, float* log_sums, void* stream);
void cross_entropy_backward(const CrossEntropyShape& shape, const void* logits,
                            const int64_t* targets, const float* log_sums, const float* d_losses,
                            void* dlogits, void* stream);
}  // namespace cuda

namespace cpu {
void cross_entropy_forward(const CrossEntropyShape& shape, const void* logits,
                           const int64_t* targets, float* losses, float* log_sums, void* stream);
void cross_entropy_backward(const CrossEntropyShape& shape, const void* logits,
                            const int64_t* targets, const float* log_sums, const float* d_losses,
                            void* dlogits, void* stream);
}  // namespace cpu

}  // namespace lockstep
