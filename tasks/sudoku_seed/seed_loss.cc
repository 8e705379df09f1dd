#include "tasks/sudoku_seed/seed_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

namespace lockstep {
namespace {

// `counts`: 0 where a row is padding; undefined: none is.
at::Tensor cross_entropy_sum(const at::Tensor& logits, const at::Tensor& target,
                             const at::Tensor& counts) {
  const at::Tensor log_p = at::log_softmax(logits, -1).gather(-1, target.unsqueeze(-1));
  return counts.defined() ? -(log_p.squeeze(-1) * counts).sum() : -log_p.sum();
}

at::Tensor hits(const at::Tensor& logits, const at::Tensor& target, const at::Tensor& counts) {
  const at::Tensor hit = logits.detach().argmax(-1).eq(target);
  return counts.defined() ? hit.logical_and(counts.ne(0)).sum() : hit.sum();
}

}  // namespace

at::Tensor masked_positions(const at::Tensor& position_logits, const at::Tensor& cells) {
  return position_logits.masked_fill(cells.ne(0), -std::numeric_limits<double>::infinity());
}

SeedLoss seed_loss(const SeedLogits& logits, const SeedStates& states) {
  const at::Tensor position = masked_positions(logits.position, states.cells);
  return {cross_entropy_sum(position, states.position, states.counts),
          cross_entropy_sum(logits.value, states.value, states.counts),
          hits(position, states.position, states.counts),
          hits(logits.value, states.value, states.counts)};
}

SeedLogits best_seed_logits(const at::Tensor& cells) {
  const at::Tensor shown = at::one_hot(cells.to(at::kLong), 10).sum(1);  // [N,10]
  at::Tensor missing = (9 - shown).to(at::kFloat);
  missing.select(1, 0).zero_();
  return {at::zeros({cells.size(0), kCells}), missing.log()};
}

double missing_digit_entropy(int64_t m) {
  const auto log_choose = [](double n, double k) {
    return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
  };
  double entropy = 0;
  for (int64_t n = std::max<int64_t>(1, m - 72); n <= std::min<int64_t>(9, m); ++n) {
    const double share = static_cast<double>(n) / static_cast<double>(m);
    const double p = std::exp(log_choose(9, double(n)) + log_choose(72, double(m - n)) -
                              log_choose(81, double(m)));
    entropy -= 9 * p * share * std::log(share);
  }
  return entropy;
}

double seed_floor(int64_t k_max) {
  // Step s of a window is taken with probability P(K > s); starts are uniform in 0..80 - k_max.
  const int64_t starts = std::max<int64_t>(1, kCells - k_max);
  double sum = 0, weights = 0;
  for (int64_t start = 0; start < starts; ++start)
    for (int64_t s = 0; s < k_max && start + s < kCells; ++s) {
      const double weight = static_cast<double>(k_max - s);
      const int64_t masked = kCells - start - s;
      sum += weight * (std::log(static_cast<double>(masked)) + missing_digit_entropy(masked));
      weights += weight;
    }
  return sum / weights;
}

}  // namespace lockstep
