// See channel_norm_kernel.h. V is a vector of sixteen positions (lanes_avx2.h, lanes_avx512.h);
// sums over channels go in their order, sums over positions lane by lane, then over lanes: equal
// bits everywhere.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/lanes/lane_math.h"
#include "kernels/norms/channel_norm_kernel.h"

namespace lockstep {

// What multiplies and shifts each channel of one image: g·(1 + scale), shift.
struct ChannelAffine {
  std::vector<float> gain, shift;
  explicit ChannelAffine(int64_t channels)
      : gain(static_cast<size_t>(channels)), shift(static_cast<size_t>(channels)) {}
  void set(const float* g, const float* scale_shift) {
    const size_t channels = gain.size();
    for (size_t c = 0; c < channels; ++c) {
      gain[c] = scale_shift == nullptr ? g[c] : g[c] * (scale_shift[c] + 1.0f);
      shift[c] = scale_shift == nullptr ? 0.0f : scale_shift[channels + c];
    }
  }
};

// √C / max(‖x‖, 1e-12) of sixteen positions; `x` points at the first channel.
template <class V>
V inverse_length(const ChannelNormShape& shape, const float* x) {
  V sum = V::zero();
  for (int64_t c = 0; c < shape.channels; ++c) {
    const V v = V::load(x + c * shape.positions);
    sum = fma(v, v, sum);
  }
  return V::all(std::sqrt(static_cast<float>(shape.channels))) / max(sqrt(sum), V::all(1e-12f));
}

template <class V>
void channel_norm_forward(const ChannelNormShape& shape, const float* x, const float* g,
                          const float* scale_shift, float* y) {
  ChannelAffine affine(shape.channels);
  for (int64_t b = 0; b < shape.batch; ++b) {
    affine.set(g, scale_shift == nullptr ? nullptr : scale_shift + b * 2 * shape.channels);
    const int64_t image = b * shape.channels * shape.positions;
    for (int64_t p = image; p < image + shape.positions; p += kLanePositions) {
      const V inverse = inverse_length<V>(shape, x + p);
      for (int64_t c = 0; c < shape.channels; ++c) {
        const int64_t at = p + c * shape.positions;
        V value = fma(V::load(x + at) * inverse, V::all(affine.gain[c]), V::all(affine.shift[c]));
        if (shape.silu) value = value * sigmoid_lanes(value);
        value.store(y + at);
      }
    }
  }
}

// Sums over positions of the gradients by gain and shift, sixteen lanes a channel.
struct LaneSums {
  std::vector<float> gain, shift;
  explicit LaneSums(int64_t channels)
      : gain(static_cast<size_t>(channels * 16)), shift(gain.size()) {}
  void clear() {
    std::fill(gain.begin(), gain.end(), 0.0f);
    std::fill(shift.begin(), shift.end(), 0.0f);
  }
};

// Sixteen positions: fills dx and adds to `sums`.
template <class V>
void channel_norm_backward_at(const ChannelNormShape& shape, const ChannelAffine& affine,
                              const float* x, const float* dy, float* dx, LaneSums& sums) {
  const V inverse = inverse_length<V>(shape, x);
  V dot = V::zero();
  for (int64_t c = 0; c < shape.channels; ++c) {
    const int64_t at = c * shape.positions;
    const V unit = V::load(x + at) * inverse;
    V d = V::load(dy + at);
    if (shape.silu) {  // silu'(y) = s·(1 + y·(1 − s)) with s = sigmoid(y)
      const V y = fma(unit, V::all(affine.gain[c]), V::all(affine.shift[c]));
      const V s = sigmoid_lanes(y);
      d = d * s * fma(y, V::all(1.0f) - s, V::all(1.0f));
    }
    float* gain = sums.gain.data() + c * kLanePositions;
    float* shift = sums.shift.data() + c * kLanePositions;
    fma(d, unit, V::load(gain)).store(gain);
    (V::load(shift) + d).store(shift);
    const V through = d * V::all(affine.gain[c]);
    dot = fma(through, unit, dot);
    through.store(dx + at);
  }
  // The part along x goes: dx = (d − u·(d·u)/C)·inverse with u = x·inverse, ‖u‖² = C.
  const V share = dot * V::all(1.0f / static_cast<float>(shape.channels));
  for (int64_t c = 0; c < shape.channels; ++c) {
    const int64_t at = c * shape.positions;
    const V unit = V::load(x + at) * inverse;
    (fnma(unit, share, V::load(dx + at)) * inverse).store(dx + at);
  }
}

template <class V>
void channel_norm_backward(const ChannelNormShape& shape, const float* x, const float* g,
                           const float* scale_shift, const float* dy, float* dx, float* dg,
                           float* d_scale_shift) {
  ChannelAffine affine(shape.channels);
  LaneSums sums(shape.channels);
  for (int64_t b = 0; b < shape.batch; ++b) {
    const float* condition =
        scale_shift == nullptr ? nullptr : scale_shift + b * 2 * shape.channels;
    affine.set(g, condition);
    sums.clear();
    const int64_t image = b * shape.channels * shape.positions;
    for (int64_t p = image; p < image + shape.positions; p += kLanePositions)
      channel_norm_backward_at<V>(shape, affine, x + p, dy + p, dx + p, sums);
    for (int64_t c = 0; c < shape.channels; ++c) {
      const float gain = sum_lanes(V::load(sums.gain.data() + c * kLanePositions)).first();
      dg[c] += condition == nullptr ? gain : gain * (condition[c] + 1.0f);
      if (condition == nullptr) continue;
      d_scale_shift[b * 2 * shape.channels + c] = gain * g[c];
      d_scale_shift[(b * 2 + 1) * shape.channels + c] =
          sum_lanes(V::load(sums.shift.data() + c * kLanePositions)).first();
    }
  }
}

}  // namespace lockstep
