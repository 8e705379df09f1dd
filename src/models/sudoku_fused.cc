#include "models/sudoku_fused.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include "models/kernel_isa.h"
#include "models/sudoku_packing.h"

namespace lockstep {
namespace {

// Hands out gradients that are already there, times the gradient of the loss.
class ReadyGradients : public torch::autograd::Node {
 public:
  explicit ReadyGradients(std::vector<at::Tensor> gradients) : gradients_(std::move(gradients)) {}
  torch::autograd::variable_list apply(torch::autograd::variable_list&& outputs) override {
    torch::autograd::variable_list result;
    for (const at::Tensor& gradient : gradients_) result.push_back(gradient * outputs[0]);
    return result;
  }
  void release_variables() override { gradients_.clear(); }

 private:
  std::vector<at::Tensor> gradients_;
};

// Float memory at 64 bytes that a thread keeps from call to call: fresh pages would cost as much
// as a puzzle.
float* scratch(int64_t floats) {
  thread_local at::Tensor memory;
  if (!memory.defined() || memory.numel() < floats) memory = at::empty({floats}, at::kFloat);
  return memory.mutable_data_ptr<float>();
}

struct Packed {
  SudokuLayout layout;
  std::vector<PackedParameter> packing;
  at::Tensor weights;
  Packed(const NamedTensors& parameters, const SudokuNetOptions& options)
      : layout(sudoku_shape(options)),
        packing(sudoku_packing(options, layout)),
        weights(at::empty({layout.size}, at::kFloat)) {
    pack_weights(packing, parameters, weights.mutable_data_ptr<float>(), layout.size);
  }
};

uint64_t depth_bits(const std::vector<int64_t>& depths) {
  uint64_t bits = 0;
  for (int64_t depth : depths) bits |= uint64_t{1} << (depth - 1);
  return bits;
}

}  // namespace

const SudokuKernel* find_fused_sudoku(const SudokuNetOptions& options) {
  const SudokuShape shape = sudoku_shape(options);
  switch (kernel_isa()) {
    case KernelIsa::kAvx512: return sudoku_kernel_avx512(shape);
    case KernelIsa::kAvx2: return sudoku_kernel_avx2(shape);
    case KernelIsa::kNone: break;
  }
  return nullptr;
}

at::Tensor fused_sudoku_logits(const SudokuKernel& kernel, const NamedTensors& parameters,
                               const SudokuNetOptions& options, const at::Tensor& cells) {
  const Packed packed(parameters, options);
  const at::Tensor in = cells.contiguous();
  at::Tensor out = at::empty({in.size(0), kSudokuCells, kSudokuDigits}, at::kFloat);
  float* memory = scratch(kernel.scratch_floats(packed.layout.shape, false));
  for (int64_t b = 0; b < in.size(0); ++b) {
    const SudokuPuzzle puzzle{in.const_data_ptr<uint8_t>() + b * kSudokuCells, nullptr};
    kernel.logits(packed.layout, packed.weights.const_data_ptr<float>(), puzzle,
                  out.mutable_data_ptr<float>() + b * kSudokuSites, memory);
  }
  return out;
}

at::Tensor fused_sudoku_loss(const SudokuKernel& kernel, const NamedTensors& parameters,
                             const SudokuNetOptions& options, const at::Tensor& cells, const at::Tensor& targets) {
  const Packed packed(parameters, options);
  const at::Tensor in = cells.contiguous(), wanted = targets.contiguous();
  at::Tensor one = at::empty({packed.layout.size}, at::kFloat), all = at::zeros({packed.layout.size}, at::kFloat);
  float* memory = scratch(kernel.scratch_floats(packed.layout.shape, true));
  double sum = 0;
  for (int64_t b = 0; b < in.size(0); ++b) {
    one.zero_();
    const SudokuPuzzle puzzle{in.const_data_ptr<uint8_t>() + b * kSudokuCells,
                              wanted.const_data_ptr<uint8_t>() + b * kSudokuCells};
    sum += kernel.loss(packed.layout, packed.weights.const_data_ptr<float>(), puzzle, depth_bits(options.loss_depths),
                       one.mutable_data_ptr<float>(), memory);
    all.add_(one);
  }
  at::Tensor loss = at::scalar_tensor(sum, at::kFloat);
  if (!at::GradMode::is_enabled()) return loss;
  std::vector<at::Tensor> leaves;
  for (const NamedTensor& parameter : parameters) leaves.push_back(parameter.tensor);
  auto node = std::shared_ptr<ReadyGradients>(
      new ReadyGradients(unpack_gradients(packed.packing, parameters, all.const_data_ptr<float>())),
      torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(leaves));
  torch::autograd::set_history(loss, node);
  return loss;
}

}  // namespace lockstep
