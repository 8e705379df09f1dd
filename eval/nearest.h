// How far pictures are from the nearest of many: do samples look like the data, or are they copies
// of them?
//
// Distances between bytes, without a network, so it says something of small and simple pictures
// alone. Taken of real pictures that a model never saw as well, they give a scale: samples at the
// same distance are as close to the training data as real pictures are, closer ones have been
// copied (Meehan et al., "A Non-Parametric Test to Detect Data-Copying in Generative Models",
// AISTATS 2020, arXiv:2004.05675).
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/dataset.h"

namespace lockstep {

// For each of `pictures` u8 [B, C, H, W]: root of the mean squared difference to the nearest of the
// first `count` pictures of `reference`, on a scale from 0 (black) to 1. The reference is read in
// blocks, so memory is flat. Any thread.
std::vector<double> nearest_distances(const at::Tensor& pictures, const Dataset& reference,
                                      int64_t count);

}  // namespace lockstep
