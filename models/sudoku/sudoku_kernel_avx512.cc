// Compiled for avx512 alone (models/CMakeLists.txt): run only where cpu_isa.h says so.
#include "kernels/lanes/lanes_avx512.h"
#include "models/sudoku/sudoku_kernel_impl.h"

namespace lockstep {

const SudokuKernel* sudoku_kernel_avx512(const SudokuShape& shape) {
  return find_sudoku_kernel<avx512::Lanes>(shape, "avx512");
}

}  // namespace lockstep
