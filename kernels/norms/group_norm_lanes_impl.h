// See group_norm_lanes.h. V is a vector of sixteen channels (lanes_avx2.h, lanes_avx512.h). Sums
// over positions go in their order, lane by lane; sums over a group's channels in their order, in
// double: equal bits everywhere.
//
// Mean first, then squares about it: a large mean costs no digits. K vectors of channels are
// computed side by side, to hide how long one addition takes.
#pragma once

#include "kernels/lanes/lane_math.h"
#include "kernels/norms/group_norm_lanes.h"

namespace lockstep {

// Calls fn<K>(first channel) for all channels, four vectors at a time as long as there are four.
template <class Fn>
inline void over_channels(int64_t channels, Fn fn) {
  int64_t c = 0;
  for (; c + 4 * kLaneChannels <= channels; c += 4 * kLaneChannels) fn.template operator()<4>(c);
  for (; c + 2 * kLaneChannels <= channels; c += 2 * kLaneChannels) fn.template operator()<2>(c);
  for (; c < channels; c += kLaneChannels) fn.template operator()<1>(c);
}

// Per channel of one image: Σ over positions of (x − about)^power, power 1 or 2; `about` null:
// zero.
template <class V, int K>
inline void sum_positions(const GroupNormLanesShape& s, const float* x, const float* about,
                          float* sums) {
  V total[K], centre[K];
  for (int k = 0; k < K; ++k) {
    total[k] = V::zero();
    centre[k] = about == nullptr ? V::zero() : V::load(about + k * kLaneChannels);
  }
  for (int64_t p = 0; p < s.positions; ++p, x += s.channels)
    for (int k = 0; k < K; ++k) {
      const V v = V::load(x + k * kLaneChannels);
      if (about == nullptr) {
        total[k] = total[k] + v;
      } else {
        const V d = v - centre[k];
        total[k] = fma(d, d, total[k]);
      }
    }
  for (int k = 0; k < K; ++k) total[k].store(sums + k * kLaneChannels);
}

// Numbers of each channel of one image, [C] each.
struct GroupNormChannels {
  float *mean, *gain, *bias, *sums, *products, *plain, *along;
  GroupNormChannels(const GroupNormLanesShape& s, float* workspace)
      : mean(workspace),
        gain(mean + s.channels),
        bias(gain + s.channels),
        sums(bias + s.channels),
        products(sums + s.channels),
        plain(products + s.channels),
        along(plain + s.channels) {}

  // From a group's mean and scale: what every channel is multiplied with and shifted by.
  void set(const GroupNormLanesShape& s, const float* statistics, const float* gamma,
           const float* beta) const {
    const int64_t width = s.channels / s.groups;
    for (int64_t c = 0; c < s.channels; ++c) {
      mean[c] = statistics[c / width * 2];
      gain[c] = statistics[c / width * 2 + 1] * gamma[c];
      bias[c] = beta[c] - mean[c] * gain[c];
    }
  }
};

template <class V>
void take_group_statistics(const GroupNormLanesShape& s, const float* x, const GroupNormChannels& n,
                           float* statistics) {
  const int64_t width = s.channels / s.groups;
  const double count = static_cast<double>(s.positions * width);
  over_channels(s.channels,
                [&]<int K>(int64_t c) { sum_positions<V, K>(s, x + c, nullptr, n.sums + c); });
  for (int64_t g = 0; g < s.groups; ++g) {
    double sum = 0;
    for (int64_t c = g * width; c < (g + 1) * width; ++c) sum += n.sums[c];
    statistics[g * 2] = static_cast<float>(sum / count);
    for (int64_t c = g * width; c < (g + 1) * width; ++c) n.mean[c] = statistics[g * 2];
  }
  over_channels(s.channels,
                [&]<int K>(int64_t c) { sum_positions<V, K>(s, x + c, n.mean + c, n.sums + c); });
  for (int64_t g = 0; g < s.groups; ++g) {
    double squares = 0;
    for (int64_t c = g * width; c < (g + 1) * width; ++c) squares += n.sums[c];
    statistics[g * 2 + 1] =
        static_cast<float>(1.0 / __builtin_sqrt(squares / count + static_cast<double>(s.eps)));
  }
}

template <class V>
void group_norm_lanes_forward(const GroupNormLanesShape& s, const float* x, const float* gamma,
                              const float* beta, const float* residual, float* y, float* statistics,
                              float* workspace) {
  const GroupNormChannels n(s, workspace);
  const int64_t size = s.positions * s.channels;
  for (int64_t image = 0; image < s.images; ++image) {
    const float* from = x + image * size;
    float* mine = statistics + image * s.groups * 2;
    take_group_statistics<V>(s, from, n, mine);
    n.set(s, mine, gamma, beta);
    over_channels(s.channels, [&]<int K>(int64_t c) {
      V gain[K], bias[K];
      for (int k = 0; k < K; ++k) {
        gain[k] = V::load(n.gain + c + k * kLaneChannels);
        bias[k] = V::load(n.bias + c + k * kLaneChannels);
      }
      for (int64_t at = c; at < size; at += s.channels)
        for (int k = 0; k < K; ++k) {
          const int64_t here = at + k * kLaneChannels;
          const V z = fma(V::load(from + here), gain[k], bias[k]);
          V out = z * sigmoid_lanes(z);
          if (residual != nullptr) out = out + V::load(residual + image * size + here);
          out.store(y + image * size + here);
        }
    });
  }
}

// dz = dy·silu'(z) into dx, and its sums over positions, plain and with the normalised x, of
// channels c … c + 16K − 1.
template <class V, int K>
inline void gradient_of_silu(const GroupNormLanesShape& s, const GroupNormChannels& n,
                             const float* x, const float* dy, float* dx, int64_t c) {
  V gain[K], bias[K], mean[K], sum[K], product[K];
  for (int k = 0; k < K; ++k) {
    gain[k] = V::load(n.gain + c + k * kLaneChannels);
    bias[k] = V::load(n.bias + c + k * kLaneChannels);
    mean[k] = V::load(n.mean + c + k * kLaneChannels);
    sum[k] = product[k] = V::zero();
  }
  for (int64_t at = c; at < s.positions * s.channels; at += s.channels)
    for (int k = 0; k < K; ++k) {
      const int64_t here = at + k * kLaneChannels;
      const V v = V::load(x + here), z = fma(v, gain[k], bias[k]), sigmoid = sigmoid_lanes(z);
      const V dz = V::load(dy + here) * sigmoid * fma(z, V::all(1.0f) - sigmoid, V::all(1.0f));
      sum[k] = sum[k] + dz;
      product[k] = fma(dz, v - mean[k], product[k]);
      dz.store(dx + here);
    }
  for (int k = 0; k < K; ++k) {
    sum[k].store(n.sums + c + k * kLaneChannels);
    product[k].store(n.products + c + k * kLaneChannels);
  }
}

// dx = rstd·(gamma·dz − A/m − x̂·B/m), A = Σ gamma·dz and B = Σ gamma·dz·x̂ over the m numbers of a
// group.
inline void spread_group_sums(const GroupNormLanesShape& s, const GroupNormChannels& n,
                              const float* statistics, const float* gamma, double* dgamma,
                              double* dbeta) {
  const int64_t width = s.channels / s.groups;
  const double count = static_cast<double>(s.positions * width);
  for (int64_t g = 0; g < s.groups; ++g) {
    const double scale = statistics[g * 2 + 1];
    double a = 0, b = 0;
    for (int64_t c = g * width; c < (g + 1) * width; ++c) {
      const double sum = n.sums[c], product = scale * n.products[c];
      dbeta[c] += sum;
      dgamma[c] += product;
      a += gamma[c] * sum;
      b += gamma[c] * product;
    }
    for (int64_t c = g * width; c < (g + 1) * width; ++c) {
      n.plain[c] = static_cast<float>(-scale * a / count);
      n.along[c] = static_cast<float>(-scale * scale * b / count);
    }
  }
}

template <class V>
void group_norm_lanes_backward(const GroupNormLanesShape& s, const float* x, const float* gamma,
                               const float* beta, const float* statistics, const float* dy,
                               float* dx, double* dgamma, double* dbeta, float* workspace) {
  const GroupNormChannels n(s, workspace);
  const int64_t size = s.positions * s.channels;
  for (int64_t image = 0; image < s.images;
       ++image, x += size, dy += size, dx += size, statistics += s.groups * 2) {
    n.set(s, statistics, gamma, beta);
    over_channels(s.channels,
                  [&]<int K>(int64_t c) { gradient_of_silu<V, K>(s, n, x, dy, dx, c); });
    spread_group_sums(s, n, statistics, gamma, dgamma, dbeta);
    over_channels(s.channels, [&]<int K>(int64_t c) {
      V gain[K], mean[K], plain[K], along[K];
      for (int k = 0; k < K; ++k) {
        gain[k] = V::load(n.gain + c + k * kLaneChannels);
        mean[k] = V::load(n.mean + c + k * kLaneChannels);
        plain[k] = V::load(n.plain + c + k * kLaneChannels);
        along[k] = V::load(n.along + c + k * kLaneChannels);
      }
      for (int64_t at = c; at < size; at += s.channels)
        for (int k = 0; k < K; ++k) {
          const int64_t here = at + k * kLaneChannels;
          fma(V::load(dx + here), gain[k], fma(V::load(x + here) - mean[k], along[k], plain[k]))
              .store(dx + here);
        }
    });
  }
}

}  // namespace lockstep
