// The norm of all gradients, and the factor that limits it (design.md 3, rule 7).
//
// The arena is cut into blocks of 65,536 elements; in each, Σ g² in 8 double lanes (element mod 8)
// that are added pairwise; the blocks are added by Tree. So neither the number of ranks or threads
// nor the instruction set changes a bit of the norm.
#pragma once

#include "ddp/arena_shard.h"
#include "optim/parallel.h"

namespace lockstep {

// √Σ (g · multiplier)², the product rounded to float32.
double gradient_norm(const Arena& gradients, float multiplier = 1,
                     const ParallelFor& parallel = in_order);

// Collective. The same bits where each rank holds the gradients of its own blocks only.
double gradient_norm(const Arena& gradients, float multiplier, const ShardLayout& shard,
                     Communicator& comm, const ParallelFor& parallel = in_order);

// min(1, max_norm / (norm + 1e-6)) in float32.
float clip_coefficient(double norm, double max_norm);

}  // namespace lockstep
