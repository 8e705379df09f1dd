// Small matrix products on lanes: many rows, few columns, weights in the nearest cache.
//
// Rows come in groups of 81 (a row of the grid times nine digits, or the 81 units of one kind).
// The order of additions is fixed: over the inner dimension for `multiply`, over rows for
// `add_outer`, whatever the register blocking of the instruction set.
#pragma once

#include <cstdint>

namespace lockstep {

inline constexpr int kLaneWidth = 16;
inline constexpr int kGroup = 81;

// Rows that are accumulated at once, so that sums stay in registers and hide the latency of fma.
template <class V, int kOut>
constexpr int rows_at_once() {
  return V::kRegisters >= 32 ? (kOut <= 3 ? 9 : 3) : (kOut <= 2 ? 3 : 1);
}

// out[row][kOut lanes] = start(row, o) + Σ_i a[row][i]·w[i][o], handed to done(row, o, value),
// for kGroup rows; a has kIn = 16·kInLanes columns.
template <class V, int kInLanes, int kOut, class Start, class Done>
inline __attribute__((always_inline)) void multiply(const float* a, const float* w, Start start,
                                                    Done done) {
  constexpr int kIn = kInLanes * kLaneWidth;
  constexpr int kRows = rows_at_once<V, kOut>();
  for (int first = 0; first < kGroup; first += kRows) {
    V sum[kRows][kOut];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (int o = 0; o < kOut; ++o) sum[r][o] = start(first + r, o);
#pragma GCC unroll 2
    for (int i = 0; i < kIn; ++i) {
      V weight[kOut];
#pragma GCC unroll 4
      for (int o = 0; o < kOut; ++o) weight[o] = V::load(w + (i * kOut + o) * kLaneWidth);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const V x = V::all(a[(first + r) * kIn + i]);
#pragma GCC unroll 4
        for (int o = 0; o < kOut; ++o) sum[r][o] = fma(x, weight[o], sum[r][o]);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (int o = 0; o < kOut; ++o) done(first + r, o, sum[r][o]);
  }
}

// g[i][o] += Σ_row a[row][i]·b[row][o] over kGroup rows: the gradient of a weight matrix.
template <class V, int kInLanes, int kOut>
inline __attribute__((always_inline)) void add_outer(const float* a, const float* b, float* g) {
  constexpr int kIn = kInLanes * kLaneWidth;
  constexpr int kAtOnce = V::kRegisters >= 32 ? (kOut == 1   ? 16
                                                 : kOut == 2 ? 8
                                                             : 4)
                                              : (kOut <= 1   ? 4
                                                 : kOut == 2 ? 2
                                                             : 1);
  for (int first = 0; first < kIn; first += kAtOnce) {
    V sum[kAtOnce][kOut];
#pragma GCC unroll 16
    for (int i = 0; i < kAtOnce; ++i)
#pragma GCC unroll 4
      for (int o = 0; o < kOut; ++o) sum[i][o] = V::load(g + ((first + i) * kOut + o) * kLaneWidth);
    for (int row = 0; row < kGroup; ++row) {
      V right[kOut];
#pragma GCC unroll 4
      for (int o = 0; o < kOut; ++o) right[o] = V::load(b + (row * kOut + o) * kLaneWidth);
#pragma GCC unroll 16
      for (int i = 0; i < kAtOnce; ++i) {
        const V x = V::all(a[row * kIn + first + i]);
#pragma GCC unroll 4
        for (int o = 0; o < kOut; ++o) sum[i][o] = fma(x, right[o], sum[i][o]);
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kAtOnce; ++i)
#pragma GCC unroll 4
      for (int o = 0; o < kOut; ++o) sum[i][o].store(g + ((first + i) * kOut + o) * kLaneWidth);
  }
}

// g[o] += Σ_row b[row][o] over kGroup rows: the gradient of a bias.
template <class V, int kOut>
inline void add_rows(const float* b, float* g) {
  for (int o = 0; o < kOut; ++o) {
    V sum = V::load(g + o * kLaneWidth);
    for (int row = 0; row < kGroup; ++row) sum = sum + V::load(b + (row * kOut + o) * kLaneWidth);
    sum.store(g + o * kLaneWidth);
  }
}

}  // namespace lockstep
