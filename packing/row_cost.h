// What a row costs to train, and how evenly a step's rows weigh on the ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "packing/units.h"

namespace lockstep {

// Multiplications and additions of a transformer's forward pass over a row: each token passes all
// weights, and attention looks at all pairs of tokens of one document. In integers, so that all
// machines order rows alike.
struct CostModel {
  int64_t weights = 1;    // N of the model
  int64_t attention = 0;  // n_layer · n_embd
  // 2·N·length + 2·n_layer·n_embd·length².
  int64_t of(int64_t length) const;
  int64_t of(const std::vector<Unit>& row) const;
};

// Largest over mean sum of costs, when neighbouring rows go to `ranks` ranks in equal shares
// (design rule 4). 1 is perfect; 1 for rows that cost nothing.
double balance_of(std::span<const int64_t> row_costs, int64_t ranks);

}  // namespace lockstep
