#include "models/sudoku/sudoku_kernel.h"

namespace lockstep {

SudokuLayout::SudokuLayout(const SudokuShape& s) : shape(s) {
  const int64_t channels = s.channels;
  embed = 0;
  head_norm_weight = 3 * channels;
  head_norm_bias = head_norm_weight + channels;
  head_weight = head_norm_bias + channels;
  head_bias = head_weight + channels;
  first_block_ = head_bias + 16;
  block_size_ = 0;
  block_size_ = block(0).out_transposed + channels * s.hidden - first_block_;
  size = first_block_ + block_size_ * s.blocks;
}

SudokuLayout::Block SudokuLayout::block(int index) const {
  int64_t next = first_block_ + index * block_size_;
  auto take = [&next](int64_t count) {
    const int64_t at = next;
    next += count;
    return at;
  };
  const int64_t channels = shape.channels, hidden = shape.hidden;
  Block b;
  b.norm_weight = take(channels);
  b.norm_bias = take(channels);
  for (Unit& unit : b.unit) {
    unit.weight = take(channels * channels);
    unit.bias = take(channels);
    unit.spread = take(channels * hidden);
    unit.weight_transposed = take(channels * channels);
    unit.spread_transposed = take(hidden * channels);
  }
  b.site = take(channels * hidden);
  b.site_bias = take(hidden);
  b.site_transposed = take(hidden * channels);
  b.out = take(hidden * channels);
  b.out_bias = take(channels);
  b.out_transposed = take(channels * hidden);
  return b;
}

}  // namespace lockstep
