// One block of the fused Sudoku network: forward and backward for one puzzle.
//
//   h = LayerNorm(x);  z_t = log Σ_unit e^h − 1.5;  a_t = SiLU(z_t·W_t + b_t)  for t in
//   {row, column, box, digits of the cell};  u = h·W + b + Σ_t a_t·P_t;  x += SiLU(u)·O + b
//
// Shapes: x, h [729 sites][C], u [729][H]; z, a [4][81 units][C]. A site is (cell, digit), digit
// fastest; units 9·row + digit, 9·column + digit, 9·box + digit, cell. CV = C/16, HV = H/16.
#pragma once

#include "kernels/lanes/lane_math.h"
#include "kernels/lanes/lane_matrix.h"
#include "kernels/lanes/lane_norm.h"
#include "models/sudoku/sudoku_kernel.h"

namespace lockstep {

// Adds value(site of the row, lane) to the four units of each site of grid row `row`. The first
// row (of the grid, of a box) stores instead of adding.
template <class V, int L, class Value>
inline __attribute__((always_inline)) void sum_units(int row, float* units, Value value) {
  constexpr int kWidth = L * kLaneWidth;
  for (int l = 0; l < L; ++l) {
    float* base = units + l * kLaneWidth;
    for (int stack = 0; stack < 3; ++stack) {
      V part[9] = {};
      for (int k = 0; k < 3; ++k) {
        const int column = stack * 3 + k;
        V in_cell = V::zero();
#pragma GCC unroll 9
        for (int d = 0; d < 9; ++d) {
          const V v = value(column * 9 + d, l);
          part[d] = part[d] + v;
          in_cell = in_cell + v;
          float* in_column = base + (81 + column * 9 + d) * kWidth;
          (row == 0 ? v : V::load(in_column) + v).store(in_column);
        }
        in_cell.store(base + (243 + row * 9 + column) * kWidth);
      }
      float* in_row = base + row * 9 * kWidth;
      float* in_box = base + (162 + (row / 3 * 3 + stack) * 9) * kWidth;
#pragma GCC unroll 9
      for (int d = 0; d < 9; ++d) {
        (stack == 0 ? part[d] : V::load(in_row + d * kWidth) + part[d]).store(in_row + d * kWidth);
        (row % 3 == 0 ? part[d] : V::load(in_box + d * kWidth) + part[d])
            .store(in_box + d * kWidth);
      }
    }
  }
}

// use(site of the row, lane, start + the sum of the site's four units) for grid row `row`.
template <class V, int L, class Start, class Use>
inline __attribute__((always_inline)) void spread_units(int row, const float* units, Start start,
                                                        Use use) {
  constexpr int kWidth = L * kLaneWidth;
  for (int l = 0; l < L; ++l) {
    const float* base = units + l * kLaneWidth;
    for (int stack = 0; stack < 3; ++stack) {
      const float* in_row = base + row * 9 * kWidth;
      const float* in_box = base + (162 + (row / 3 * 3 + stack) * 9) * kWidth;
      V shared[9];
#pragma GCC unroll 9
      for (int d = 0; d < 9; ++d)
        shared[d] = start(l) + V::load(in_row + d * kWidth) + V::load(in_box + d * kWidth);
      for (int k = 0; k < 3; ++k) {
        const int column = stack * 3 + k;
        const V in_cell = V::load(base + (243 + row * 9 + column) * kWidth);
#pragma GCC unroll 9
        for (int d = 0; d < 9; ++d)
          use(column * 9 + d, l,
              shared[d] + V::load(base + (81 + column * 9 + d) * kWidth) + in_cell);
      }
    }
  }
}

// What forward leaves for backward, one per iteration.
struct SudokuSaved {
  float* x;     // [729][C] the input
  float* mean;  // [729]
  float* rstd;  // [729]
  float* z;     // [4][81][C]
  float* pre;   // [4][81][C] z·W_t + b_t
};

template <class V, int CV, int HV>
class SudokuBlock {
 public:
  static constexpr int C = CV * kLaneWidth, H = HV * kLaneWidth;
  static constexpr int kUnitRows = kSudokuUnits * kGroup;
  // h, chunk [81][C], chunks a, b, c [81][H], spread [324][H], unit sums [324][H], [324][C].
  static constexpr int64_t kScratch =
      kSudokuSites * C + kGroup * (C + 3 * H) + kUnitRows * (2 * H + 2 * C);

  SudokuBlock(const float* weights, const SudokuLayout::Block& at, float* scratch)
      : w_(weights), at_(at) {
    auto take = [&scratch](int64_t count) {
      float* p = scratch;
      scratch += count;
      return p;
    };
    h_ = take(int64_t{kSudokuSites} * C);
    chunk_ = take(kGroup * C);
    hidden_ = take(kGroup * H);
    slope_ = take(kGroup * H);
    du_ = take(kGroup * H);
    spread_ = take(int64_t{kUnitRows} * H);
    unit_du_ = take(int64_t{kUnitRows} * H);
    unit_sum_ = take(int64_t{kUnitRows} * C);
    active_ = take(int64_t{kUnitRows} * C);
  }

  // out may be saved.x.
  void forward(const SudokuSaved& saved, float* out) {
    for (int row = 0; row < 9; ++row) {
      const int64_t first = row * kGroup;
      norm_statistics<V, CV>(saved.x + first * C, saved.mean + first, saved.rstd + first);
      normalise(saved, row, h_ + first * C);
      const float* h = h_ + first * C;
      sum_units<V, CV>(row, unit_sum_, [h](int site, int l) {
        return exp_lanes(V::load(h + (site * CV + l) * kLaneWidth));
      });
    }
    for (int i = 0; i < kUnitRows * CV; ++i)
      (log_lanes(V::load(unit_sum_ + i * kLaneWidth)) - V::all(kLogShift))
          .store(saved.z + i * kLaneWidth);
    for (int t = 0; t < kSudokuUnits; ++t) {
      float* pre = saved.pre + t * kGroup * C;
      const float* bias = w_ + at_.unit[t].bias;
      multiply<V, CV, CV>(
          saved.z + t * kGroup * C, w_ + at_.unit[t].weight,
          [bias](int, int o) { return V::load(bias + o * kLaneWidth); },
          [pre](int unit, int o, V v) { v.store(pre + (unit * CV + o) * kLaneWidth); });
    }
    spread_to_hidden(saved.pre);
    const float* out_bias = w_ + at_.out_bias;
    for (int row = 0; row < 9; ++row) {
      float* hidden = hidden_;
      hidden_rows(row, [hidden](int site, int o, V u) {
        (u * sigmoid_lanes(u)).store(hidden + (site * HV + o) * kLaneWidth);
      });
      const float* x = saved.x + row * kGroup * C;
      float* y = out + row * kGroup * C;
      multiply<V, HV, CV>(
          hidden_, w_ + at_.out,
          [out_bias](int, int o) { return V::load(out_bias + o * kLaneWidth); },
          [x, y](int site, int o, V v) {
            const int64_t i = (site * CV + o) * kLaneWidth;
            (V::load(x + i) + v).store(y + i);
          });
    }
  }

  // dx: gradient of the output, becomes that of the input. `gradient` is added to.
  void backward(const SudokuSaved& saved, float* dx, float* gradient) {
    spread_to_hidden(saved.pre);
    for (int row = 0; row < 9; ++row) backward_sites(saved, row, dx, gradient);
    add_rows<V, HV>(unit_du_, gradient + at_.site_bias);  // the 81 row units cover every site once
    for (int t = 0; t < kSudokuUnits; ++t) backward_units(saved, t, gradient);
    for (int row = 0; row < 9; ++row) backward_norm(saved, row, dx, gradient);
  }

 private:
  void normalise(const SudokuSaved& saved, int row, float* h) const {
    const float* x = saved.x + row * kGroup * C;
    const float *mean = saved.mean + row * kGroup, *rstd = saved.rstd + row * kGroup;
    for (int l = 0; l < CV; ++l) {
      const V gain = V::load(w_ + at_.norm_weight + l * kLaneWidth);
      const V bias = V::load(w_ + at_.norm_bias + l * kLaneWidth);
      for (int site = 0; site < kGroup; ++site) {
        const int64_t i = (site * CV + l) * kLaneWidth;
        const V scaled = (V::load(x + i) - V::all(mean[site])) * V::all(rstd[site]);
        fma(scaled, gain, bias).store(h + i);
      }
    }
  }

  // active = SiLU(pre), spread = active·P, for all units.
  void spread_to_hidden(const float* pre) {
    for (int i = 0; i < kUnitRows * CV; ++i) {
      const V p = V::load(pre + i * kLaneWidth);
      (p * sigmoid_lanes(p)).store(active_ + i * kLaneWidth);
    }
    for (int t = 0; t < kSudokuUnits; ++t) {
      float* spread = spread_ + t * kGroup * H;
      multiply<V, CV, HV>(
          active_ + t * kGroup * C, w_ + at_.unit[t].spread, [](int, int) { return V::zero(); },
          [spread](int unit, int o, V v) { v.store(spread + (unit * HV + o) * kLaneWidth); });
    }
  }

  // done(site, o, u) for the sites of a row, from h_ and spread_.
  template <class Done>
  inline __attribute__((always_inline)) void hidden_rows(int row, Done done) {
    float* u = du_;
    const float* bias = w_ + at_.site_bias;
    spread_units<V, HV>(
        row, spread_, [bias](int l) { return V::load(bias + l * kLaneWidth); },
        [u](int site, int l, V v) { v.store(u + (site * HV + l) * kLaneWidth); });
    multiply<V, CV, HV>(
        h_ + row * kGroup * C, w_ + at_.site,
        [u](int site, int o) { return V::load(u + (site * HV + o) * kLaneWidth); }, done);
  }

  // From dx to du and the part of dh that comes through h·W (left in h_'s place), per row.
  void backward_sites(const SudokuSaved& saved, int row, const float* dx_all, float* gradient) {
    const float* dx = dx_all + row * kGroup * C;
    float *h = h_ + row * kGroup * C, *hidden = hidden_, *slope = slope_, *du = du_;
    normalise(saved, row, h);
    hidden_rows(row, [hidden, slope](int site, int o, V u) {
      const int64_t i = (site * HV + o) * kLaneWidth;
      const V s = sigmoid_lanes(u), value = u * s;
      value.store(hidden + i);
      fma(value, V::all(1.0f) - s, s).store(slope + i);
    });
    multiply<V, CV, HV>(
        dx, w_ + at_.out_transposed, [](int, int) { return V::zero(); },
        [slope, du](int site, int o, V v) {
          const int64_t i = (site * HV + o) * kLaneWidth;
          (v * V::load(slope + i)).store(du + i);
        });
    add_outer<V, CV, HV>(dx, hidden, gradient + at_.out_transposed);
    add_rows<V, CV>(dx, gradient + at_.out_bias);
    add_outer<V, CV, HV>(h, du, gradient + at_.site);
    sum_units<V, HV>(row, unit_du_,
                     [du](int site, int l) { return V::load(du + (site * HV + l) * kLaneWidth); });
    multiply<V, HV, CV>(
        du, w_ + at_.site_transposed, [](int, int) { return V::zero(); },
        [h](int site, int o, V v) { v.store(h + (site * CV + o) * kLaneWidth); });
  }

  // From the units' du to G = dz / Σ_unit e^h, left in unit_sum_.
  void backward_units(const SudokuSaved& saved, int t, float* gradient) {
    const SudokuLayout::Unit& at = at_.unit[t];
    const float *du = unit_du_ + t * kGroup * H, *z = saved.z + t * kGroup * C,
                *pre = saved.pre + t * kGroup * C;
    float *dpre = chunk_, *scaled = unit_sum_ + t * kGroup * C;
    add_outer<V, CV, HV>(active_ + t * kGroup * C, du, gradient + at.spread);
    multiply<V, HV, CV>(
        du, w_ + at.spread_transposed, [](int, int) { return V::zero(); },
        [dpre, pre](int unit, int o, V v) {
          const int64_t i = (unit * CV + o) * kLaneWidth;
          const V p = V::load(pre + i), s = sigmoid_lanes(p);
          (v * fma(p * s, V::all(1.0f) - s, s)).store(dpre + i);
        });
    add_outer<V, CV, CV>(z, dpre, gradient + at.weight);
    add_rows<V, CV>(dpre, gradient + at.bias);
    multiply<V, CV, CV>(
        dpre, w_ + at.weight_transposed, [](int, int) { return V::zero(); },
        [z, scaled](int unit, int o, V v) {
          const int64_t i = (unit * CV + o) * kLaneWidth;
          (v * exp_lanes(V::all(-kLogShift) - V::load(z + i))).store(scaled + i);
        });
  }

  // dh += e^h·ΣG, then through the LayerNorm into dx.
  void backward_norm(const SudokuSaved& saved, int row, float* dx_all, float* gradient) {
    const int64_t first = row * kGroup;
    float *dh = h_ + first * C, *h = chunk_, *dx = dx_all + first * C;
    normalise(saved, row, h);
    spread_units<V, CV>(
        row, unit_sum_, [](int) { return V::zero(); },
        [dh, h](int site, int l, V v) {
          const int64_t i = (site * CV + l) * kLaneWidth;
          fma(exp_lanes(V::load(h + i)), v, V::load(dh + i)).store(dh + i);
        });
    norm_backward<V, CV>(saved.x + first * C, saved.mean + first, saved.rstd + first,
                         w_ + at_.norm_weight, dh, kGroup, dx, gradient + at_.norm_weight,
                         gradient + at_.norm_bias);
  }

  const float* w_;
  SudokuLayout::Block at_;
  float *h_, *chunk_, *hidden_, *slope_, *du_, *spread_, *unit_du_, *unit_sum_, *active_;
};

}  // namespace lockstep
