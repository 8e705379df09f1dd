#include "models/sudoku/sudoku_fused.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include "core/errors.h"
#include "kernels/kernel_isa.h"

namespace lockstep {
namespace {

// Hands out gradients that are already there, times the gradient of the loss.
class ReadyGradients : public torch::autograd::Node {
 public:
  ReadyGradients(std::shared_ptr<const std::vector<PackedParameter>> packing, at::Tensor packed)
      : packing_(std::move(packing)), packed_(std::move(packed)) {}
  torch::autograd::variable_list apply(torch::autograd::variable_list&& outputs) override {
    if (!packed_.defined()) throw InternalError("a second backward through the fused Sudoku loss");
    return unpack_gradients(*packing_, packed_.const_data_ptr<float>(), outputs[0].item<float>());
  }
  void release_variables() override { packed_.reset(); }

 private:
  std::shared_ptr<const std::vector<PackedParameter>> packing_;
  at::Tensor packed_;
};

// Float memory at 64 bytes that a thread keeps from call to call: fresh pages would cost as much
// as a puzzle.
float* scratch(int64_t floats) {
  thread_local at::Tensor memory;
  if (!memory.defined() || memory.numel() < floats) memory = at::empty({floats}, at::kFloat);
  return memory.mutable_data_ptr<float>();
}

uint64_t depth_bits(const std::vector<int64_t>& depths) {
  uint64_t bits = 0;
  for (int64_t depth : depths) bits |= uint64_t{1} << (depth - 1);
  return bits;
}

}  // namespace

FusedSudoku::FusedSudoku(const SudokuKernel& kernel, const SudokuNetOptions& options)
    : kernel_(&kernel),
      layout_(sudoku_shape(options)),
      packing_(
          std::make_shared<const std::vector<PackedParameter>>(sudoku_packing(options, layout_))),
      depths_(depth_bits(options.loss_depths)) {}

std::unique_ptr<FusedSudoku> FusedSudoku::find(const SudokuNetOptions& options) {
  const SudokuShape shape = sudoku_shape(options);
  const SudokuKernel* kernel = nullptr;
  if (kernel_isa() == KernelIsa::kAvx512) kernel = sudoku_kernel_avx512(shape);
  if (kernel_isa() == KernelIsa::kAvx2) kernel = sudoku_kernel_avx2(shape);
  if (kernel == nullptr) return nullptr;
  return std::unique_ptr<FusedSudoku>(new FusedSudoku(*kernel, options));
}

at::Tensor FusedSudoku::pack(const NamedTensors& parameters) const {
  at::Tensor weights = at::empty({layout_.size}, at::kFloat);
  pack_weights(*packing_, parameters, weights.mutable_data_ptr<float>(), layout_.size);
  return weights;
}

at::Tensor FusedSudoku::logits(const NamedTensors& parameters, const at::Tensor& cells) const {
  const at::Tensor weights = pack(parameters), in = cells.contiguous();
  at::Tensor out = at::empty({in.size(0), kSudokuCells, kSudokuDigits}, at::kFloat);
  float* memory = scratch(kernel_->scratch_floats(layout_.shape, false));
  for (int64_t b = 0; b < in.size(0); ++b) {
    const SudokuPuzzle puzzle{in.const_data_ptr<uint8_t>() + b * kSudokuCells, nullptr};
    kernel_->logits(layout_, weights.const_data_ptr<float>(), puzzle,
                    out.mutable_data_ptr<float>() + b * kSudokuSites, memory);
  }
  return out;
}

at::Tensor FusedSudoku::loss_sum(const NamedTensors& parameters, const at::Tensor& cells,
                                 const at::Tensor& targets) const {
  const at::Tensor weights = pack(parameters), in = cells.contiguous(),
                   wanted = targets.contiguous();
  at::Tensor one = at::empty({layout_.size}, at::kFloat),
             all = at::zeros({layout_.size}, at::kFloat);
  float* memory = scratch(kernel_->scratch_floats(layout_.shape, true));
  double sum = 0;
  for (int64_t b = 0; b < in.size(0); ++b) {
    one.zero_();
    const SudokuPuzzle puzzle{in.const_data_ptr<uint8_t>() + b * kSudokuCells,
                              wanted.const_data_ptr<uint8_t>() + b * kSudokuCells};
    sum += kernel_->loss(layout_, weights.const_data_ptr<float>(), puzzle, depths_,
                         one.mutable_data_ptr<float>(), memory);
    all.add_(one);
  }
  at::Tensor loss = at::scalar_tensor(sum, at::kFloat);
  if (!at::GradMode::is_enabled()) return loss;
  std::vector<at::Tensor> leaves;
  for (const NamedTensor& parameter : parameters) leaves.push_back(parameter.tensor);
  auto node = std::shared_ptr<ReadyGradients>(new ReadyGradients(packing_, std::move(all)),
                                              torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(leaves));
  torch::autograd::set_history(loss, node);
  return loss;
}

}  // namespace lockstep
