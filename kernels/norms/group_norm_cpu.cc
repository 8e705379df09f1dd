// The CPU twin of group_norm.cu: the same formulas, plain loops, sums in double.
#include <cmath>
#include <vector>

#include "kernels/norms/group_norm_kernel.h"
#include "kernels/norms/sigmoid.h"
#include "tensor/float_types.h"

namespace lockstep::cpu {
namespace {

// z = gain·x + bias of each channel of one image.
struct GroupAffine {
  std::vector<float> gain, bias, scale;
  GroupAffine(const GroupNormShape& s, const GroupNormInputs& in, const float* statistics,
              int64_t image)
      : gain(static_cast<size_t>(s.channels)), bias(gain.size()), scale(gain.size()) {
    const int64_t width = s.channels / s.groups;
    const float* condition =
        in.scale_shift == nullptr ? nullptr : in.scale_shift + image * 2 * s.channels;
    for (int64_t c = 0; c < s.channels; ++c) {
      const float* group = statistics + (image * s.groups + c / width) * 2;
      const float gamma = in.gamma == nullptr ? 1.0f : in.gamma[c],
                  beta = in.beta == nullptr ? 0.0f : in.beta[c];
      scale[c] = condition == nullptr ? 1.0f : 1.0f + condition[c];
      gain[c] = group[1] * gamma * scale[c];
      bias[c] = beta * scale[c] + (condition == nullptr ? 0.0f : condition[s.channels + c]) -
                group[0] * gain[c];
    }
  }
};

float through_silu(bool silu, float z, float dy) {
  if (!silu) return dy;
  const float s = sigmoid(z);
  return dy * s * (1.0f + z * (1.0f - s));
}

template <class T>
void take_statistics(const GroupNormShape& s, const T* x, float* statistics) {
  const int64_t width = s.channels / s.groups;
  std::vector<double> sum(static_cast<size_t>(s.groups)), square(sum.size());
  for (int64_t image = 0; image < s.batch; ++image, x += s.positions * s.channels) {
    std::fill(sum.begin(), sum.end(), 0.0);
    std::fill(square.begin(), square.end(), 0.0);
    for (int64_t p = 0; p < s.positions; ++p)
      for (int64_t c = 0; c < s.channels; ++c) {
        const double v = static_cast<float>(x[p * s.channels + c]);
        sum[c / width] += v;
        square[c / width] += v * v;
      }
    for (int64_t g = 0; g < s.groups; ++g) {
      const double count = static_cast<double>(s.positions * width), mean = sum[g] / count;
      statistics[(image * s.groups + g) * 2] = static_cast<float>(mean);
      statistics[(image * s.groups + g) * 2 + 1] = static_cast<float>(
          1.0 / std::sqrt(std::max(square[g] / count - mean * mean, 0.0) + s.eps));
    }
  }
}

// Σ dz and Σ dz·x̂ of each channel of one image: [2][C].
template <class T>
std::vector<double> gradient_sums(const GroupNormShape& s, const T* x, const T* dy,
                                  const float* statistics, const GroupAffine& a) {
  const int64_t width = s.channels / s.groups;
  std::vector<double> sums(static_cast<size_t>(2 * s.channels));
  for (int64_t p = 0; p < s.positions; ++p)
    for (int64_t c = 0; c < s.channels; ++c) {
      const float v = static_cast<float>(x[p * s.channels + c]);
      const float dz = through_silu(s.silu, v * a.gain[c] + a.bias[c],
                                    static_cast<float>(dy[p * s.channels + c]));
      sums[c] += dz;
      sums[s.channels + c] += static_cast<double>(dz) *
                              ((v - statistics[c / width * 2]) * statistics[c / width * 2 + 1]);
    }
  return sums;
}

template <class T>
void write_dx(const GroupNormShape& s, const T* x, const T* dy, const float* statistics,
              const GroupAffine& a, const std::vector<double>& sums, T* dx) {
  const int64_t width = s.channels / s.groups;
  std::vector<float> plain(static_cast<size_t>(s.groups)), along(plain.size());
  for (int64_t c = 0; c < s.channels; ++c) {
    plain[c / width] += static_cast<float>(sums[c]) * a.gain[c];
    along[c / width] += static_cast<float>(sums[s.channels + c]) * a.gain[c];
  }
  const float count = static_cast<float>(s.positions * width);
  for (int64_t p = 0; p < s.positions; ++p)
    for (int64_t c = 0; c < s.channels; ++c) {
      const int64_t at = p * s.channels + c, g = c / width;
      const float v = static_cast<float>(x[at]);
      const float dz = through_silu(s.silu, v * a.gain[c] + a.bias[c], static_cast<float>(dy[at]));
      const float unit = (v - statistics[g * 2]) * statistics[g * 2 + 1];
      dx[at] = static_cast<T>(dz * a.gain[c] - plain[g] / count - unit * (along[g] / count));
    }
}

void add_parameters(const GroupNormShape& s, const GroupNormInputs& in, const GroupAffine& a,
                    const std::vector<double>& sums, int64_t image, const GroupNormGradients& out) {
  const int64_t C = s.channels;
  for (int64_t c = 0; c < C; ++c) {
    const float plain = static_cast<float>(sums[c]), along = static_cast<float>(sums[C + c]);
    if (out.dgamma != nullptr)
      out.dgamma[c] = (image == 0 ? 0.0f : out.dgamma[c]) + a.scale[c] * along;
    if (out.dbeta != nullptr)
      out.dbeta[c] = (image == 0 ? 0.0f : out.dbeta[c]) + a.scale[c] * plain;
    if (out.d_scale_shift == nullptr) continue;
    const float gamma = in.gamma == nullptr ? 1.0f : in.gamma[c],
                beta = in.beta == nullptr ? 0.0f : in.beta[c];
    out.d_scale_shift[image * 2 * C + c] = gamma * along + beta * plain;
    out.d_scale_shift[image * 2 * C + C + c] = plain;
  }
}

}  // namespace

void group_norm_forward(const GroupNormShape& s, const GroupNormInputs& in, void* y,
                        float* statistics, float*, void*) {
  with_float_type(s.type, [&]<class T>() {
    const T* x = static_cast<const T*>(in.x);
    take_statistics(s, x, statistics);
    for (int64_t image = 0; image < s.batch; ++image) {
      const GroupAffine a(s, in, statistics, image);
      for (int64_t p = image * s.positions; p < (image + 1) * s.positions; ++p)
        for (int64_t c = 0; c < s.channels; ++c) {
          const float z = static_cast<float>(x[p * s.channels + c]) * a.gain[c] + a.bias[c];
          const float more =
              in.residual == nullptr
                  ? 0.0f
                  : static_cast<float>(static_cast<const T*>(in.residual)[p * s.channels + c]);
          static_cast<T*>(y)[p * s.channels + c] =
              static_cast<T>((s.silu ? z * sigmoid(z) : z) + more);
        }
    }
  });
}

void group_norm_backward(const GroupNormShape& s, const GroupNormInputs& in,
                         const float* statistics, const void* dy, const GroupNormGradients& out,
                         float*, void*) {
  with_float_type(s.type, [&]<class T>() {
    for (int64_t image = 0; image < s.batch; ++image) {
      const int64_t at = image * s.positions * s.channels;
      const T *x = static_cast<const T*>(in.x) + at, *d = static_cast<const T*>(dy) + at;
      const float* mine = statistics + image * s.groups * 2;
      const GroupAffine a(s, in, statistics, image);
      const std::vector<double> sums = gradient_sums(s, x, d, mine, a);
      write_dx(s, x, d, mine, a, sums, static_cast<T*>(out.dx) + at);
      add_parameters(s, in, a, sums, image, out);
    }
  });
}

}  // namespace lockstep::cpu
