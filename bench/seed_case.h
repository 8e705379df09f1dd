// The sizes of a benchmark of the Sudoku seed, as its name says them: c64-l9-e15-k6-b64 is
// hidden_dim 64, num_layers 9, embedding_dim 15, k_max 6, batch 64. The Python peers read the same
// names.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "core/errors.h"
#include "models/sudoku/seed_conv.h"

namespace lockstep {

struct SeedCase {
  SeedConvOptions net;
  int64_t k_max = 3, batch = 64;

  // Throws ConfigError.
  static SeedCase named(const std::string& name) {
    SeedCase sizes;
    long channels = 0, layers = 0, embedding = 0, k_max = 0, batch = 0;
    int end = 0;
    const int found = std::sscanf(name.c_str(), "c%ld-l%ld-e%ld-k%ld-b%ld%n", &channels, &layers,
                                  &embedding, &k_max, &batch, &end);
    if (found != 5 || name.size() != static_cast<size_t>(end) || k_max < 1 || k_max > 80 ||
        batch < 1)
      throw ConfigError("no case: '" + name + "'",
                        "write hidden_dim, layers, embedding, k_max, batch as c64-l9-e15-k6-b64");
    sizes.net.hidden_dim = channels;
    sizes.net.num_layers = layers;
    sizes.net.embedding_dim = embedding;
    sizes.k_max = k_max;
    sizes.batch = batch;
    return sizes;
  }

  // Multiplications and additions of convolutions and heads in one forward pass of one grid; a
  // training step takes three times that (gradients of inputs and of weights), but for the first
  // layer.
  double forward_flops() const {
    const double c = double(net.hidden_dim),
                 inputs = double(std::max<int64_t>(1, net.embedding_dim));
    const double convolutions =
        2.0 * 81 * 9 * c * (inputs + (2.0 * double(net.num_layers) + 1) * c);
    return convolutions + 2.0 * (2 * 81 * c * c + c * 91);
  }
};

}  // namespace lockstep
