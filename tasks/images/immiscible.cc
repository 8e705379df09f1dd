#include "tasks/images/immiscible.h"

#include <limits>

#include <ATen/ATen.h>

namespace lockstep {

// Rows are added one by one; each looks for the cheapest path of reassignments by Dijkstra over
// reduced costs. Indices count from 1, 0 is "none".
std::vector<int64_t> least_cost_assignment(const std::vector<double>& costs, int64_t size) {
  const auto n = static_cast<size_t>(size);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> row_price(n + 1), column_price(n + 1);
  std::vector<size_t> row_of(n + 1), way(n + 1);
  for (size_t row = 1; row <= n; ++row) {
    row_of[0] = row;
    size_t column = 0;
    std::vector<double> least(n + 1, kInfinity);
    std::vector<bool> done(n + 1);
    do {
      done[column] = true;
      const size_t from = row_of[column];
      double delta = kInfinity;
      size_t next = 0;
      for (size_t j = 1; j <= n; ++j) {
        if (done[j]) continue;
        const double reduced = costs[(from - 1) * n + (j - 1)] - row_price[from] - column_price[j];
        if (reduced < least[j]) least[j] = reduced, way[j] = column;
        if (least[j] < delta) delta = least[j], next = j;
      }
      for (size_t j = 0; j <= n; ++j) {
        if (done[j])
          row_price[row_of[j]] += delta, column_price[j] -= delta;
        else
          least[j] -= delta;
      }
      column = next;
    } while (row_of[column] != 0);
    for (; column != 0; column = way[column]) row_of[column] = row_of[way[column]];
  }
  std::vector<int64_t> column_of(n);
  for (size_t j = 1; j <= n; ++j) column_of[row_of[j] - 1] = static_cast<int64_t>(j - 1);
  return column_of;
}

at::Tensor paired_noise(const at::Tensor& start, const at::Tensor& noise) {
  const int64_t rows = start.size(0);
  if (rows < 2) return noise;
  const at::Tensor a = start.reshape({rows, -1}).to(at::kDouble),
                   b = noise.reshape({rows, -1}).to(at::kDouble);
  const at::Tensor squared =
      a.square().sum(1, true) + b.square().sum(1).unsqueeze(0) - 2 * at::mm(a, b.t());
  const at::Tensor distance = squared.clamp_min(0).sqrt().contiguous();
  const auto* first = distance.const_data_ptr<double>();
  return noise.index_select(0,
                            at::tensor(least_cost_assignment({first, first + rows * rows}, rows)));
}

}  // namespace lockstep
