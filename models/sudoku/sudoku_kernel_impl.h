// The fused Sudoku network out of its blocks; one instance per instruction set and width.
#pragma once

#include "models/sudoku/sudoku_block.h"

namespace lockstep {

template <class V, int CV, int HV>
class SudokuNetwork {
  using Block = SudokuBlock<V, CV, HV>;
  static constexpr int C = Block::C;
  static constexpr int64_t kState = int64_t{kSudokuSites} * C;
  static constexpr int64_t kPaddedSites = (kSudokuSites + kLaneWidth - 1) / kLaneWidth * kLaneWidth;
  static constexpr int64_t kSavedBeside = 2 * kPaddedSites + 2 * int64_t{Block::kUnitRows} * C;

 public:
  static int64_t scratch_floats(const SudokuShape& shape, bool training) {
    const int64_t saved = training ? shape.iterations : 1;
    // The states, what each iteration saves, the block's own, dx, normalised head inputs, logits.
    return (saved + (training ? 1 : 0)) * kState + saved * kSavedBeside + Block::kScratch + kState +
           kGroup * C + 2 * kSudokuCells * kLaneWidth;
  }

  static void logits(const SudokuLayout& layout, const float* weights, const SudokuPuzzle& puzzle,
                     float* logits, float* scratch) {
    SudokuNetwork net(layout, weights, scratch, false);
    net.embed(puzzle, net.state(0));
    for (int k = 0; k < layout.shape.iterations; ++k)
      net.block(k).forward(net.saved(0), net.state(0));
    net.head_forward(net.state(0), nullptr);
    for (int cell = 0; cell < kSudokuCells; ++cell)
      for (int d = 0; d < kSudokuDigits; ++d)
        logits[cell * kSudokuDigits + d] = net.logits_[cell * kLaneWidth + d];
  }

  static double loss(const SudokuLayout& layout, const float* weights, const SudokuPuzzle& puzzle,
                     uint64_t depths, float* gradient, float* scratch) {
    int targets = 0;
    for (int cell = 0; cell < kSudokuCells; ++cell) targets += puzzle.targets[cell] != 0;
    if (targets == 0 || depths == 0) return 0;
    SudokuNetwork net(layout, weights, scratch, true);
    const int iterations = layout.shape.iterations;
    net.embed(puzzle, net.state(0));
    for (int k = 0; k < iterations; ++k) net.block(k).forward(net.saved(k), net.state(k + 1));
    for (int64_t i = 0; i < kState; i += kLaneWidth) V::zero().store(net.dx_ + i);
    const double terms = double(targets) * __builtin_popcountll(depths);
    double sum = 0;
    for (int k = iterations; k >= 1; --k) {
      if (depths >> (k - 1) & 1)
        sum += net.head(net.state(k), puzzle.targets, float(1.0 / terms), gradient);
      net.block(k - 1).backward(net.saved(k - 1), net.dx_, gradient);
    }
    net.embed_backward(puzzle, gradient);
    return sum / terms;
  }

 private:
  SudokuNetwork(const SudokuLayout& layout, const float* weights, float* scratch, bool training)
      : layout_(layout), w_(weights) {
    const int64_t saved = training ? layout.shape.iterations : 1;
    states_ = scratch;
    beside_ = states_ + (saved + (training ? 1 : 0)) * kState;
    block_scratch_ = beside_ + saved * kSavedBeside;
    dx_ = block_scratch_ + Block::kScratch;
    chunk_ = dx_ + kState;
    logits_ = chunk_ + kGroup * C;
    d_logits_ = logits_ + kSudokuCells * kLaneWidth;
  }

  float* state(int k) { return states_ + k * kState; }
  SudokuSaved saved(int k) {
    float* p = beside_ + k * kSavedBeside;
    constexpr int64_t kSites = kPaddedSites, kUnits = int64_t{Block::kUnitRows} * C;
    return {state(k), p, p + kSites, p + 2 * kSites, p + 2 * kSites + kUnits};
  }
  Block block(int k) { return Block(w_, layout_.block(k % layout_.shape.blocks), block_scratch_); }

  // Which row of the embedding a site has: 0 the cell is this digit, 1 another one, 2 masked.
  static int embed_row(uint8_t cell, int digit) {
    return cell == 0 ? 2 : cell == digit + 1 ? 0 : 1;
  }

  void embed(const SudokuPuzzle& puzzle, float* x) const {
    for (int site = 0; site < kSudokuSites; ++site)
      for (int l = 0; l < CV; ++l)
        V::load(w_ + layout_.embed +
                (embed_row(puzzle.cells[site / 9], site % 9) * CV + l) * kLaneWidth)
            .store(x + (site * CV + l) * kLaneWidth);
  }

  void embed_backward(const SudokuPuzzle& puzzle, float* gradient) const {
    for (int site = 0; site < kSudokuSites; ++site)
      for (int l = 0; l < CV; ++l) {
        float* g = gradient + layout_.embed +
                   (embed_row(puzzle.cells[site / 9], site % 9) * CV + l) * kLaneWidth;
        (V::load(g) + V::load(dx_ + (site * CV + l) * kLaneWidth)).store(g);
      }
  }

  // Logits [81][16] of the cells with a target (of all cells if `targets` is null).
  void head_forward(const float* x, const uint8_t* targets) {
    alignas(64) float mean[kGroup], rstd[kGroup];
    const float bias = w_[layout_.head_bias];
    for (int row = 0; row < 9; ++row) {
      norm_statistics<V, CV>(x + row * kGroup * C, mean, rstd);
      for (int site = 0; site < kGroup; ++site) {
        const int cell = row * 9 + site / 9;
        if (targets != nullptr && targets[cell] == 0) continue;
        V sum = V::zero();
        for (int l = 0; l < CV; ++l)
          sum = fma(head_input(x + (row * kGroup + site) * C, mean[site], rstd[site], l),
                    V::load(w_ + layout_.head_weight + l * kLaneWidth), sum);
        logits_[cell * kLaneWidth + site % 9] = sum_lanes(sum).first() + bias;
      }
    }
  }

  V head_input(const float* x, float mean, float rstd, int l) const {
    const V scaled = (V::load(x + l * kLaneWidth) - V::all(mean)) * V::all(rstd);
    return fma(scaled, V::load(w_ + layout_.head_norm_weight + l * kLaneWidth),
               V::load(w_ + layout_.head_norm_bias + l * kLaneWidth));
  }

  // Sum of the cross-entropies; d_logits = (softmax − target)·scale.
  double cross_entropy(const uint8_t* targets, float scale) {
    alignas(64) static constexpr float kDigitLanes[kLaneWidth] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    double sum = 0;
    for (int cell = 0; cell < kSudokuCells; ++cell) {
      if (targets[cell] == 0) continue;
      float *logits = logits_ + cell * kLaneWidth, *d = d_logits_ + cell * kLaneWidth;
      for (int lane = kSudokuDigits; lane < kLaneWidth; ++lane) logits[lane] = -1e30f;
      const V largest = max_lanes(V::load(logits));
      const V e = exp_lanes(V::load(logits) - largest) * V::load(kDigitLanes);
      const V total = sum_lanes(e);
      const int target = targets[cell] - 1;
      sum += double(log_lanes(total).first()) - double(logits[target] - largest.first());
      (e / total * V::all(scale)).store(d);
      d[target] -= scale;
    }
    return sum;
  }

  // Loss at this state; adds to dx_ and the head's gradients.
  double head(const float* x, const uint8_t* targets, float scale, float* gradient) {
    head_forward(x, targets);
    const double sum = cross_entropy(targets, scale);
    alignas(64) float mean[kGroup], rstd[kGroup];
    for (int row = 0; row < 9; ++row) {
      norm_statistics<V, CV>(x + row * kGroup * C, mean, rstd);
      for (int column = 0; column < 9; ++column) {
        const int cell = row * 9 + column;
        if (targets[cell] == 0) continue;
        for (int digit = 0; digit < 9; ++digit) {
          const int site = column * 9 + digit;
          const float d = d_logits_[cell * kLaneWidth + digit];
          for (int l = 0; l < CV; ++l) {
            float* g = gradient + layout_.head_weight + l * kLaneWidth;
            const V input = head_input(x + (row * kGroup + site) * C, mean[site], rstd[site], l);
            fma(V::all(d), input, V::load(g)).store(g);
            (V::all(d) * V::load(w_ + layout_.head_weight + l * kLaneWidth))
                .store(chunk_ + (digit * CV + l) * kLaneWidth);
          }
          gradient[layout_.head_bias] += d;
        }
        const int64_t first = cell * 9 * C;
        norm_backward<V, CV>(
            x + first, mean + column * 9, rstd + column * 9, w_ + layout_.head_norm_weight, chunk_,
            9, dx_ + first, gradient + layout_.head_norm_weight, gradient + layout_.head_norm_bias);
      }
    }
    return sum;
  }

  const SudokuLayout& layout_;
  const float* w_;
  float *states_, *beside_, *block_scratch_, *dx_, *chunk_, *logits_, *d_logits_;
};

// The instance for a shape, or null.
template <class V>
const SudokuKernel* find_sudoku_kernel(const SudokuShape& shape, const char* isa) {
  auto make = [isa]<int CV, int HV>() -> const SudokuKernel* {
    using Net = SudokuNetwork<V, CV, HV>;
    static const SudokuKernel kernel = {isa, Net::scratch_floats, Net::logits, Net::loss};
    return &kernel;
  };
  const bool wide = shape.channels == 32;
  if (!wide && shape.channels != 16) return nullptr;
  switch (shape.hidden / kLaneWidth) {
    case 1:
      return wide ? make.template operator()<2, 1>() : make.template operator()<1, 1>();
    case 2:
      return wide ? make.template operator()<2, 2>() : make.template operator()<1, 2>();
    case 3:
      return wide ? make.template operator()<2, 3>() : make.template operator()<1, 3>();
    case 4:
      return wide ? make.template operator()<2, 4>() : make.template operator()<1, 4>();
    default:
      return nullptr;
  }
}

}  // namespace lockstep
