#include "packing/row_cost.h"

#include <algorithm>
#include <numeric>

namespace lockstep {

int64_t CostModel::of(int64_t length) const {
  return 2 * weights * length + 2 * attention * length * length;
}

int64_t CostModel::of(const std::vector<Unit>& row) const {
  int64_t sum = 0;
  for (const Unit& unit : row) sum += of(unit.length());
  return sum;
}

double balance_of(std::span<const int64_t> row_costs, int64_t ranks) {
  const auto rows = static_cast<int64_t>(row_costs.size());
  double most = 0, all = 0;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const auto share =
        row_costs.subspan(rank * rows / ranks, (rank + 1) * rows / ranks - rank * rows / ranks);
    const double cost = std::accumulate(share.begin(), share.end(), 0.0);
    most = std::max(most, cost);
    all += cost;
  }
  return all > 0 ? most * static_cast<double>(ranks) / all : 1.0;
}

}  // namespace lockstep
