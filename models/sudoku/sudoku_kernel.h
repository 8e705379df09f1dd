// The fused Sudoku network: forward, loss and gradient of one puzzle at a time, on the CPU.
//
// The state of a puzzle (81 cells × 9 digits × 16 channels = 46 KB) and all weights (60 KB) stay
// in the caches next to the core, and the 16 channels fill one AVX-512 register; the same
// network as separate tensor operations spends most of its time moving memory. A puzzle's
// numbers depend on nothing but the puzzle and the weights, so results do not change with the
// batch they come in, and AVX2 and AVX-512 give equal bits (lanes_avx2.h).
//
// No torch here: these sources are compiled once per instruction set.
#pragma once

#include <cstdint>

namespace lockstep {

inline constexpr int kSudokuCells = 81;
inline constexpr int kSudokuDigits = 9;
inline constexpr int kSudokuSites = kSudokuCells * kSudokuDigits;  // (cell, digit), digit fastest
inline constexpr int kSudokuUnits = 4;                             // row, column, box, cell
// Centres z: nine sites with h ~ N(0,1) have log Σ e^h ≈ 2.7 on average, and values of both signs
// help.
inline constexpr float kLogShift = 1.5f;

// Sizes the kernel needs to know. `channels` and `hidden` are multiples of 16.
struct SudokuShape {
  int channels = 16;
  int hidden = 32;
  int blocks = 2;
  int iterations = 16;
};

// Where things lie in the packed weights and gradients: floats, matrices as [input][output] so
// that a row is a vector over outputs. Gradients use the same places; the transposed copies,
// which backward reads, have none (their room stays zero).
struct SudokuLayout {
  struct Unit {
    int64_t weight, bias, spread;                  // [C][C], [C], [C][H]
    int64_t weight_transposed, spread_transposed;  // [C][C], [H][C]
  };
  struct Block {
    int64_t norm_weight, norm_bias;  // [C]
    Unit unit[kSudokuUnits];
    int64_t site, site_bias, site_transposed;  // [C][H], [H], [H][C]
    int64_t out, out_bias, out_transposed;     // [H][C] (no gradient), [C], [C][H] (gradient)
  };
  explicit SudokuLayout(const SudokuShape& shape);
  Block block(int index) const;

  int64_t embed;  // [3][C]: is this digit, is another digit, is masked
  int64_t head_norm_weight, head_norm_bias, head_weight, head_bias;  // [C], [C], [C], [1]
  int64_t size;                                                      // floats
  SudokuShape shape;

 private:
  int64_t first_block_ = 0, block_size_ = 0;
};

// One puzzle as the network sees it.
struct SudokuPuzzle {
  const uint8_t* cells;    // [81] 0 = masked, else the digit
  const uint8_t* targets;  // [81] digit to predict, 0 = no loss here; may be null without a loss
};

// The functions of one instruction set. `scratch` has scratch_floats() floats, aligned to 64 bytes.
struct SudokuKernel {
  const char* isa;
  // Floats of scratch memory; `training` also counts what backward needs.
  int64_t (*scratch_floats)(const SudokuShape& shape, bool training);
  // logits[81][9] after the last iteration.
  void (*logits)(const SudokuLayout& layout, const float* weights, const SudokuPuzzle& puzzle,
                 float* logits, float* scratch);
  // Mean cross-entropy over the cells with a target, averaged over the depths (bit k−1 of
  // `depths`: after iteration k). Adds its gradient to `gradient`. 0 without any target.
  double (*loss)(const SudokuLayout& layout, const float* weights, const SudokuPuzzle& puzzle,
                 uint64_t depths, float* gradient, float* scratch);
};

// Null if there is no code for the shape: channels 16 or 32 with hidden up to 64 are there.
const SudokuKernel* sudoku_kernel_avx2(const SudokuShape& shape);
const SudokuKernel* sudoku_kernel_avx512(const SudokuShape& shape);

}  // namespace lockstep
