// The Sudoku network as plain tensor operations: what the fused kernel is tested against.
//
// Shapes: B puzzles, R rows 9 = 3 bands × 3, L columns 9 = 3 stacks × 3, D digits 9, C channels.
#include <ATen/ATen.h>

#include "kernels/lanes/lane_norm.h"
#include "models/sudoku/sudoku_kernel.h"
#include "models/sudoku/sudoku_net.h"

namespace lockstep {
namespace {

class Reference {
 public:
  Reference(const NamedTensors& parameters, const SudokuNetOptions& options)
      : parameters_(parameters), options_(options) {}

  at::Tensor embed(const at::Tensor& cells) const {
    const at::Tensor cells_BRLx = cells.view({-1, 9, 9, 1});
    const at::Tensor digits_D = at::arange(1, 10, cells.options());
    const at::Tensor is_hidden = cells_BRLx.eq(0).expand({-1, 9, 9, 9});
    const at::Tensor is_this = cells_BRLx.eq(digits_D);
    const at::Tensor is_other = is_this.logical_or(is_hidden).logical_not();
    const at::Tensor facts =
        at::stack({is_this, is_other, is_hidden}, -1).to(get("embed.weight").scalar_type());
    return linear("embed", facts);
  }

  at::Tensor block(int64_t index, const at::Tensor& x_BRLDC) const {
    const std::string name = "blocks." + std::to_string(index) + ".";
    const at::Tensor h = norm(name + "norm", x_BRLDC);
    const at::Tensor e = h.exp();
    const int64_t channels = options_.channels;
    const at::Tensor boxes = e.view({-1, 3, 3, 3, 3, 9, channels}).sum({2, 4}, true);
    const at::Tensor sums[] = {e.sum(2, true), e.sum(1, true), boxes, e.sum(3, true)};
    static const char* const kUnits[] = {"row", "column", "box", "cell"};
    at::Tensor u = linear(name + "site", h);
    for (int t = 0; t < 4; ++t) {
      const at::Tensor z = sums[t].log() - kLogShift;
      const at::Tensor a = at::silu(linear(name + kUnits[t], z));
      const at::Tensor spread = at::linear(a, get(name + kUnits[t] + "_spread.weight"));
      u = t == 2 ? (u.view({-1, 3, 3, 3, 3, 9, options_.hidden}) + spread).view_as(u) : u + spread;
    }
    return x_BRLDC + linear(name + "out", at::silu(u));
  }

  at::Tensor head(const at::Tensor& x) const {
    return linear("head", norm("head_norm", x)).view({-1, 81, 9});
  }

 private:
  const at::Tensor& get(const std::string& name) const { return *find_tensor(parameters_, name); }
  at::Tensor linear(const std::string& name, const at::Tensor& x) const {
    return at::linear(x, get(name + ".weight"), get(name + ".bias"));
  }
  at::Tensor norm(const std::string& name, const at::Tensor& x) const {
    return at::layer_norm(x, {options_.channels}, get(name + ".weight"), get(name + ".bias"),
                          kNormEpsilon);
  }

  const NamedTensors& parameters_;
  const SudokuNetOptions& options_;
};

}  // namespace

std::vector<at::Tensor> sudoku_reference_logits(const NamedTensors& parameters,
                                                const SudokuNetOptions& options,
                                                const at::Tensor& cells,
                                                const std::vector<int64_t>& depths) {
  const Reference net(parameters, options);
  at::Tensor x = net.embed(cells);
  std::vector<at::Tensor> logits(depths.size());
  for (int64_t k = 1; k <= options.iterations; ++k) {
    x = net.block((k - 1) % options.blocks, x);
    for (size_t i = 0; i < depths.size(); ++i)
      if (depths[i] == k) logits[i] = net.head(x);
  }
  return logits;
}

at::Tensor sudoku_reference_loss(const std::vector<at::Tensor>& logits, const at::Tensor& targets) {
  const at::Tensor has_target = targets.ne(0);
  const at::Tensor index = (targets.to(at::kLong) - 1).clamp_min(0).unsqueeze(-1);
  at::Tensor total;
  for (const at::Tensor& depth : logits) {
    const at::Tensor wide = depth.scalar_type() == at::kDouble ? depth : depth.to(at::kFloat);
    const at::Tensor log_p = at::log_softmax(wide, -1).gather(-1, index).squeeze(-1);
    const at::Tensor weights = has_target.to(wide.scalar_type());
    const at::Tensor mean = -(log_p * weights).sum(-1) / weights.sum(-1).clamp_min(1);
    total = total.defined() ? total + mean.sum() : mean.sum();
  }
  return total / static_cast<double>(logits.size());
}

}  // namespace lockstep
