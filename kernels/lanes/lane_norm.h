// LayerNorm on lanes, over the channels of each site.
#pragma once

#include <cstdint>

#include "kernels/lanes/lane_matrix.h"

namespace lockstep {

inline constexpr float kNormEpsilon = 1e-5f;

// Mean and 1/√(variance + ε) over the C channels of each of kGroup sites.
template <class V, int CV>
void norm_statistics(const float* x, float* mean, float* rstd) {
  constexpr int kPadded = (kGroup + kLaneWidth - 1) / kLaneWidth * kLaneWidth;
  alignas(64) float variance[kPadded] = {};
  const V scale = V::all(1.0f / (CV * kLaneWidth));
  for (int site = 0; site < kGroup; ++site) {
    V lanes[CV];
    for (int l = 0; l < CV; ++l) lanes[l] = V::load(x + (site * CV + l) * kLaneWidth);
    V sum = lanes[0];
    for (int l = 1; l < CV; ++l) sum = sum + lanes[l];
    const V centre = sum_lanes(sum) * scale;
    V square = V::zero();
    for (int l = 0; l < CV; ++l) {
      const V d = lanes[l] - centre;
      square = fma(d, d, square);
    }
    mean[site] = centre.first();
    variance[site] = (sum_lanes(square) * scale).first();
  }
  for (int i = 0; i < kPadded; i += kLaneWidth)
    (V::all(1.0f) / sqrt(V::load(variance + i) + V::all(kNormEpsilon))).store(variance + i);
  for (int site = 0; site < kGroup; ++site) rstd[site] = variance[site];
}

// Backward of y = LayerNorm(x)·weight + bias for `sites` sites: adds to dx and to both gradients.
template <class V, int CV>
void norm_backward(const float* x, const float* mean, const float* rstd, const float* weight,
                   const float* dy, int sites, float* dx, float* d_weight, float* d_bias) {
  const V scale = V::all(1.0f / (CV * kLaneWidth));
  V gain[CV], sum_weight[CV], sum_bias[CV];
  for (int l = 0; l < CV; ++l) {
    gain[l] = V::load(weight + l * kLaneWidth);
    sum_weight[l] = V::load(d_weight + l * kLaneWidth);
    sum_bias[l] = V::load(d_bias + l * kLaneWidth);
  }
  for (int site = 0; site < sites; ++site) {
    V scaled[CV], d[CV], sum = V::zero(), dot = V::zero();
    for (int l = 0; l < CV; ++l) {
      const int64_t i = (site * CV + l) * kLaneWidth;
      const V dy_l = V::load(dy + i);
      scaled[l] = (V::load(x + i) - V::all(mean[site])) * V::all(rstd[site]);
      sum_weight[l] = fma(dy_l, scaled[l], sum_weight[l]);
      sum_bias[l] = sum_bias[l] + dy_l;
      d[l] = dy_l * gain[l];
      sum = sum + d[l];
      dot = fma(d[l], scaled[l], dot);
    }
    const V centre = sum_lanes(sum) * scale, slope = sum_lanes(dot) * scale;
    for (int l = 0; l < CV; ++l) {
      const int64_t i = (site * CV + l) * kLaneWidth;
      const V inner = fnma(scaled[l], slope, d[l] - centre);
      fma(inner, V::all(rstd[site]), V::load(dx + i)).store(dx + i);
    }
  }
  for (int l = 0; l < CV; ++l) {
    sum_weight[l].store(d_weight + l * kLaneWidth);
    sum_bias[l].store(d_bias + l * kLaneWidth);
  }
}

}  // namespace lockstep
