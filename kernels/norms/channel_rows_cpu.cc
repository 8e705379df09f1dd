// The CPU twin of channel_rows.cu: the same formulas, plain loops.
#include <cmath>
#include <vector>

#include "kernels/norms/channel_rows_kernel.h"
#include "kernels/norms/sigmoid.h"
#include "tensor/float_types.h"

namespace lockstep::cpu {
namespace {

struct RowAffine {
  std::vector<float> gain, shift;
  RowAffine(const ChannelRowsShape& s, const float* g, const float* scale_shift, int64_t image)
      : gain(static_cast<size_t>(s.channels)), shift(gain.size()) {
    const float* condition =
        scale_shift == nullptr ? nullptr : scale_shift + image * 2 * s.channels;
    for (int64_t c = 0; c < s.channels; ++c) {
      gain[c] = condition == nullptr ? g[c] : g[c] * (condition[c] + 1.0f);
      shift[c] = condition == nullptr ? 0.0f : condition[s.channels + c];
    }
  }
};

template <class T>
float inverse_length(const ChannelRowsShape& s, const T* row) {
  double sum = 0;
  for (int64_t c = 0; c < s.channels; ++c)
    sum += static_cast<double>(static_cast<float>(row[c])) * static_cast<float>(row[c]);
  return std::sqrt(static_cast<float>(s.channels)) /
         std::max(static_cast<float>(std::sqrt(sum)), 1e-12f);
}

// One position: dx, and the sums over positions of dz and dz·u, [2][C].
template <class T>
void backward_row(const ChannelRowsShape& s, const RowAffine& a, const T* x, const T* dy, T* dx,
                  std::vector<double>& sums) {
  const float inverse = inverse_length(s, x);
  std::vector<float> through(static_cast<size_t>(s.channels));
  double dot = 0;
  for (int64_t c = 0; c < s.channels; ++c) {
    const float u = static_cast<float>(x[c]) * inverse;
    float dz = static_cast<float>(dy[c]);
    if (s.silu) {
      const float z = u * a.gain[c] + a.shift[c], sigma = sigmoid(z);
      dz *= sigma * (1.0f + z * (1.0f - sigma));
    }
    sums[c] += dz;
    sums[s.channels + c] += static_cast<double>(dz) * u;
    through[c] = dz * a.gain[c];
    dot += static_cast<double>(through[c]) * u;
  }
  const float share = static_cast<float>(dot / static_cast<double>(s.channels));
  for (int64_t c = 0; c < s.channels; ++c)
    dx[c] = static_cast<T>((through[c] - static_cast<float>(x[c]) * inverse * share) * inverse);
}

}  // namespace

void channel_rows_forward(const ChannelRowsShape& s, const void* x, const float* g,
                          const float* scale_shift, void* y, void*) {
  with_float_type(s.type, [&]<class T>() {
    for (int64_t image = 0; image < s.batch; ++image) {
      const RowAffine a(s, g, scale_shift, image);
      for (int64_t p = image * s.positions; p < (image + 1) * s.positions; ++p) {
        const T* row = static_cast<const T*>(x) + p * s.channels;
        const float inverse = inverse_length(s, row);
        for (int64_t c = 0; c < s.channels; ++c) {
          const float z = static_cast<float>(row[c]) * inverse * a.gain[c] + a.shift[c];
          static_cast<T*>(y)[p * s.channels + c] = static_cast<T>(s.silu ? z * sigmoid(z) : z);
        }
      }
    }
  });
}

void channel_rows_backward(const ChannelRowsShape& s, const void* x, const float* g,
                           const float* scale_shift, const void* dy, void* dx, float* dg,
                           float* d_scale_shift, float*, void*) {
  const int64_t C = s.channels;
  std::vector<double> sums(static_cast<size_t>(2 * C));
  for (int64_t c = 0; c < C; ++c) dg[c] = 0.0f;
  with_float_type(s.type, [&]<class T>() {
    for (int64_t image = 0; image < s.batch; ++image) {
      const RowAffine a(s, g, scale_shift, image);
      std::fill(sums.begin(), sums.end(), 0.0);
      for (int64_t p = image * s.positions; p < (image + 1) * s.positions; ++p)
        backward_row(s, a, static_cast<const T*>(x) + p * C, static_cast<const T*>(dy) + p * C,
                     static_cast<T*>(dx) + p * C, sums);
      for (int64_t c = 0; c < C; ++c) {
        const float along = static_cast<float>(sums[C + c]);
        dg[c] += scale_shift == nullptr ? along : along * (scale_shift[image * 2 * C + c] + 1.0f);
        if (d_scale_shift == nullptr) continue;
        d_scale_shift[image * 2 * C + c] = along * g[c];
        d_scale_shift[image * 2 * C + C + c] = static_cast<float>(sums[c]);
      }
    }
  });
}

}  // namespace lockstep::cpu
