#include "models/sudoku/sudoku_net.h"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/autocast_mode.h>

#include "core/errors.h"
#include "kernels/kernel_isa.h"
#include "models/sudoku/sudoku_fused.h"

namespace lockstep {
namespace {

bool is_autocast() { return at::autocast::is_autocast_enabled(at::kCPU); }

void check(const SudokuNetOptions& options) {
  if (options.loss_depths.empty())
    throw ConfigError("loss_depths is empty", "list at least the last iteration");
  for (size_t i = 0; i < options.loss_depths.size(); ++i) {
    if (options.loss_depths[i] > options.iterations)
      throw ConfigError("loss_depths has " + std::to_string(options.loss_depths[i]) +
                        ", and there are only " + std::to_string(options.iterations) +
                        " iterations");
    if (i > 0 && options.loss_depths[i] <= options.loss_depths[i - 1])
      throw ConfigError("loss_depths must increase");
  }
}

}  // namespace

SudokuNet::SudokuNet(const SudokuNetOptions& options, uint64_t seed) : options_(options) {
  check(options);
  at::Generator generator = at::detail::createCPUGenerator(seed);
  auto uniform = [&](const std::string& name, std::vector<int64_t> shape, int64_t inputs) {
    const double bound = 1 / std::sqrt(static_cast<double>(inputs));
    parameter(name, at::empty(shape, at::kFloat).uniform_(-bound, bound, generator));
  };
  auto linear = [&](const std::string& name, int64_t outputs, int64_t inputs) {
    uniform(name + ".weight", {outputs, inputs}, inputs);
    uniform(name + ".bias", {outputs}, inputs);
  };
  auto norm = [&](const std::string& name) {
    parameter(name + ".weight", at::ones({options.channels}));
    parameter(name + ".bias", at::zeros({options.channels}));
  };
  const int64_t channels = options.channels, hidden = options.hidden;
  linear("embed", channels, 3);
  for (int64_t index = 0; index < options.blocks; ++index) {
    const std::string name = "blocks." + std::to_string(index) + ".";
    norm(name + "norm");
    for (const char* unit : {"row", "column", "box", "cell"}) {
      linear(name + unit, channels, channels);
      uniform(name + unit + "_spread.weight", {hidden, channels}, channels);
    }
    linear(name + "site", hidden, channels);
    parameter(name + "out.weight", at::zeros({channels, hidden}));
    parameter(name + "out.bias", at::zeros({channels}));
  }
  norm("head_norm");
  linear("head", 1, channels);

  if (options.implementation != "reference") fused_ = FusedSudoku::find(options);
  if (options.implementation == "fused" && fused_ == nullptr)
    throw ConfigError(kernel_isa() == KernelIsa::kNone
                          ? "implementation is fused, and this CPU does not offer AVX2 and FMA"
                          : "implementation is fused, and there is no kernel for these widths",
                      "use implementation: auto, or 16 or 32 channels with hidden up to 64");
}

SudokuNet::~SudokuNet() = default;

const char* SudokuNet::computed_by() const {
  return fused_ == nullptr ? "reference" : fused_->isa();
}

at::Tensor SudokuNet::logits(const at::Tensor& cells) {
  if (cells.device() != device()) return logits(cells.to(device())).to(cells.device());
  const bool differentiable =
      at::GradMode::is_enabled() && parameters().front().tensor.requires_grad();
  if (fused_ != nullptr && cells.is_cpu() && !is_autocast() && !differentiable)
    return fused_->logits(parameters(), cells);
  return sudoku_reference_logits(parameters(), options_, cells, {options_.iterations})
      .front()
      .to(at::kFloat);
}

at::Tensor SudokuNet::loss_sum(const at::Tensor& cells, const at::Tensor& targets) {
  if (fused_ != nullptr && cells.is_cpu() && !is_autocast())
    return fused_->loss_sum(parameters(), cells, targets);
  return sudoku_reference_loss(
      sudoku_reference_logits(parameters(), options_, cells, options_.loss_depths), targets);
}

}  // namespace lockstep
