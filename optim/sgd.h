// Gradient descent with momentum, with PyTorch's semantics (torch.optim.SGD): L2 decay, a buffer
// that starts as the first gradient (dampening does not apply to it), Nesterov's look-ahead.
//
// Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML
// 2013, put the learning rate inside the buffer; here, as in PyTorch, v = μv + g and w −= lr·v.
#pragma once

#include <memory>

#include "optim/optimizers.h"

namespace lockstep {

// Throws ConfigError for nesterov without momentum or with dampening.
std::unique_ptr<Optimizer> make_sgd(const SgdOptions& options, const ShardLayout& shard);

// The reference: one operation a line (sgd_reference.cc).
void sgd_reference(const SgdArrays& arrays, int64_t count, const SgdFactors& f,
                   const GradientFactors& g);

}  // namespace lockstep
