// Compiled for avx2 alone (models/CMakeLists.txt): run only where cpu_isa.h says so.
#include "kernels/lanes/lanes_avx2.h"
#include "models/sudoku/sudoku_kernel_impl.h"

namespace lockstep {

const SudokuKernel* sudoku_kernel_avx2(const SudokuShape& shape) {
  return find_sudoku_kernel<avx2::Lanes>(shape, "avx2");
}

}  // namespace lockstep
