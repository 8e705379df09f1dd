// Adam and AdamW, with PyTorch's order of operations (torch.optim, single-tensor path): L2 decay
// goes into the gradient, decoupled decay shrinks the weights first; bias corrections in double;
// eps is added to √(v / (1 − β2^t)).
//
// Kingma and Ba, "Adam", ICLR 2015, arXiv:1412.6980, algorithm 1; Loshchilov and Hutter,
// "Decoupled Weight Decay Regularization", ICLR 2019, arXiv:1711.05101, algorithm 2.
#pragma once

#include <memory>

#include "optim/optimizers.h"

namespace lockstep {

std::unique_ptr<Optimizer> make_adam(const AdamOptions& options, bool decoupled,
                                     const ShardLayout& shard);

// The factors of update `t` (from 1) for one group of parameters; `lr` is scheduled and scaled.
AdamFactors adam_factors(const AdamOptions& options, bool decoupled, double lr, double weight_decay,
                         int64_t t);

// The reference: one operation a line (adam_reference.cc).
void adam_reference(const AdamArrays& arrays, int64_t count, const AdamFactors& f,
                    const GradientFactors& g);

}  // namespace lockstep
