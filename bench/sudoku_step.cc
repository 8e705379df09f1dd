// CPU time of one training step and one forward pass of the Sudoku network, fused and reference.
//
//   build/bin/sudoku_step_bench [puzzles] [repeats]
//
// CPU seconds of this process, one thread: comparable on a machine that others use too.
#include <cstdio>
#include <cstdlib>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "bench/clocks.h"
#include "kernels/kernel_isa.h"
#include "models/sudoku/sudoku_net.h"

using namespace lockstep;

namespace {

template <class Body>
double milliseconds(int repeats, Body&& body) {
  body();
  const double start = cpu_seconds();
  for (int i = 0; i < repeats; ++i) body();
  return 1e3 * (cpu_seconds() - start) / repeats;
}

// Half of the cells of a solved grid hidden.
void fill_puzzles(at::Tensor& cells, at::Tensor& targets) {
  for (int64_t b = 0; b < cells.size(0); ++b)
    for (int64_t cell = 0; cell < 81; ++cell) {
      const auto digit = static_cast<uint8_t>(1 + (3 * (cell / 9) + cell / 27 + cell % 9 + b) % 9);
      ((cell * 7 + b) % 2 == 0 ? cells : targets)[b][cell] = digit;
    }
}

void measure(const char* isa, const char* implementation, int64_t hidden, const at::Tensor& cells,
             const at::Tensor& targets, int repeats) {
  set_kernel_isa(isa);
  SudokuNetOptions options;
  options.hidden = hidden;
  options.implementation = implementation;
  SudokuNet net(options, 1);
  const auto puzzles = static_cast<double>(cells.size(0));
  const double step = milliseconds(repeats, [&] {
    for (const NamedTensor& p : net.parameters()) p.tensor.mutable_grad() = at::Tensor();
    net.loss_sum(cells, targets).backward();
  });
  const at::NoGradGuard no_grad;
  const double forward = milliseconds(repeats, [&] { net.logits(cells); });
  std::printf("%-10s %-7s hidden %2lld   step %7.3f ms a puzzle   forward %7.3f ms a puzzle\n",
              implementation, isa, static_cast<long long>(hidden), step / puzzles,
              forward / puzzles);
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t puzzles = argc > 1 ? std::atoll(argv[1]) : 4;
  const int repeats = argc > 2 ? std::atoi(argv[2]) : 20;
  at::set_num_threads(1);
  at::Tensor cells = at::zeros({puzzles, 81}, at::kByte), targets = at::zeros_like(cells);
  fill_puzzles(cells, targets);
  for (const int64_t hidden : {16, 24}) {
    measure("native", "fused", hidden, cells, targets, repeats);
    measure("avx2", "fused", hidden, cells, targets, repeats);
    measure("native", "reference", hidden, cells, targets, repeats);
  }
  return 0;
}
