// GroupNorm and the channel norm in channels-last order: device code and CPU twin against double
// precision.
#include "kernels/norms/channel_rows_kernel.h"
#include "kernels/norms/group_norm_kernel.h"
#include "tests/emulation/device.h"

namespace lockstep {
namespace {

using namespace testing;

class NormKernels : public KernelTest {};

double silu_slope(double z) {
  const double s = 1 / (1 + std::exp(-z));
  return s * (1 + z * (1 - s));
}

struct NormCase {
  int64_t batch, positions, channels, groups;
  bool silu, affine, conditioned;
  size_t offset = 0;
  bool residual = false;
};

struct NormReference {
  std::vector<double> y, dx, dgamma, dbeta, d_condition;
};

// y, and the gradients of Σ y·dy by the chain rule, all in double. `groups` 0: the channel norm
// (gamma is g).
NormReference reference(const NormCase& c, double eps, const std::vector<double>& x,
                        const std::vector<double>& gamma, const std::vector<double>& beta,
                        const std::vector<double>& condition, const std::vector<double>& dy) {
  const int64_t C = c.channels, width = c.groups == 0 ? C : C / c.groups;
  NormReference out{x, x, std::vector<double>(C), std::vector<double>(C),
                    std::vector<double>(c.batch * 2 * C)};
  // One normalised set: all elements of a group of an image, or the channels of a position.
  const auto normalise = [&](int64_t b, const std::vector<int64_t>& set) {
    const double n = static_cast<double>(set.size());
    double mean = 0, square = 0;
    if (c.groups != 0)
      for (const int64_t i : set) mean += x[i] / n;
    for (const int64_t i : set) square += (x[i] - mean) * (x[i] - mean);
    const double scale = c.groups != 0 ? 1 / std::sqrt(square / n + eps)
                                       : std::sqrt(n) / std::max(std::sqrt(square), 1e-12);
    std::vector<double> through(set.size());
    double plain = 0, along = 0;
    for (size_t k = 0; k < set.size(); ++k) {
      const int64_t i = set[k], ch = i % C;
      const double unit = (x[i] - mean) * scale,
                   gain = c.conditioned ? 1 + condition[b * 2 * C + ch] : 1;
      const double normed = unit * gamma[ch] + beta[ch],
                   z = normed * gain + (c.conditioned ? condition[b * 2 * C + C + ch] : 0);
      out.y[i] = c.silu ? z / (1 + std::exp(-z)) : z;
      const double dz = dy[i] * (c.silu ? silu_slope(z) : 1);
      out.dgamma[ch] += dz * gain * unit;
      out.dbeta[ch] += dz * gain;
      out.d_condition[b * 2 * C + ch] += dz * normed;
      out.d_condition[b * 2 * C + C + ch] += dz;
      through[k] = dz * gain * gamma[ch];
      plain += c.groups != 0 ? through[k] : 0;
      along += through[k] * unit;
    }
    for (size_t k = 0; k < set.size(); ++k)
      out.dx[set[k]] = scale * (through[k] - plain / n - (x[set[k]] - mean) * scale * along / n);
  };
  for (int64_t b = 0; b < c.batch; ++b)
    for (int64_t s = 0; s < (c.groups == 0 ? c.positions : c.groups); ++s) {
      std::vector<int64_t> set;
      for (int64_t p = 0; p < c.positions; ++p)
        for (int64_t ch = 0; ch < C; ++ch)
          if (c.groups == 0 ? p == s : ch / width == s)
            set.push_back((b * c.positions + p) * C + ch);
      normalise(b, set);
    }
  return out;
}

struct NormTensors {
  Tensor x, dy, y, dx, gamma, beta, condition, dgamma, dbeta, d_condition;
  NormTensors(const NormCase& c, FloatType type)
      : x(made_up(count(c), 1, 2, 0.3f), type, c.offset),
        dy(made_up(count(c), 2), type, c.offset),
        y(count(c), type, c.offset),
        dx(count(c), type, c.offset),
        gamma(made_up(channels(c), 3, 0.5f, 1), FloatType::kFloat32),
        beta(made_up(channels(c), 4), FloatType::kFloat32),
        condition(made_up(conditions(c), 5, 0.7f), FloatType::kFloat32),
        dgamma(channels(c), FloatType::kFloat32),
        dbeta(channels(c), FloatType::kFloat32),
        d_condition(conditions(c), FloatType::kFloat32) {}
  static size_t count(const NormCase& c) {
    return static_cast<size_t>(c.batch * c.positions * c.channels);
  }
  static size_t channels(const NormCase& c) { return static_cast<size_t>(c.channels); }
  static size_t conditions(const NormCase& c) {
    return static_cast<size_t>(c.batch * 2 * c.channels);
  }
};

float* floats(void* p, bool given = true) { return given ? static_cast<float*>(p) : nullptr; }

void compare(const NormCase& c, FloatType type, NormTensors& t, const NormReference& want) {
  const double tolerance = tolerance_of(type),
               sums = 1e-5 * std::sqrt(static_cast<double>(c.batch * c.positions));
  expect_close(t.y.from_gpu(), want.y, tolerance, "y");
  expect_close(t.y.from_cpu(), want.y, tolerance, "y of the twin");
  expect_close(t.dx.from_gpu(), want.dx, tolerance, "dx");
  expect_close(t.dx.from_cpu(), want.dx, tolerance, "dx of the twin");
  if (c.affine) {
    expect_close(t.dgamma.from_gpu(), want.dgamma, sums, "dgamma");
    expect_close(t.dgamma.from_cpu(), want.dgamma, sums, "dgamma of the twin");
  }
  if (c.affine && c.groups != 0) {
    expect_close(t.dbeta.from_gpu(), want.dbeta, sums, "dbeta");
    expect_close(t.dbeta.from_cpu(), want.dbeta, sums, "dbeta of the twin");
  }
  if (!c.conditioned) return;
  expect_close(t.d_condition.from_gpu(), want.d_condition, sums, "d scale, shift");
  expect_close(t.d_condition.from_cpu(), want.d_condition, sums, "d scale, shift of the twin");
}

void check_group_norm(const NormCase& c, FloatType type) {
  const GroupNormShape shape{c.batch, c.positions, c.channels, c.groups, 1e-5f, c.silu, type};
  NormTensors t(c, type);
  const std::vector<double> ones(c.channels, 1.0), zeros(c.channels, 0.0);
  Tensor more(made_up(NormTensors::count(c), 9), type, c.offset);
  NormReference want =
      reference(c, shape.eps, t.x.exact(), c.affine ? t.gamma.exact() : ones,
                c.affine ? t.beta.exact() : zeros, t.condition.exact(), t.dy.exact());
  const size_t statistics_size = static_cast<size_t>(c.batch * c.groups * 2);
  DeviceArray<float> statistics(statistics_size), workspace(static_cast<size_t>(shape.workspace()));
  std::vector<float> statistics_cpu(statistics_size);
  GroupNormInputs on_gpu{t.x.gpu(), floats(t.gamma.gpu(), c.affine), floats(t.beta.gpu(), c.affine),
                         floats(t.condition.gpu(), c.conditioned)};
  GroupNormInputs on_cpu{t.x.cpu(), floats(t.gamma.cpu(), c.affine), floats(t.beta.cpu(), c.affine),
                         floats(t.condition.cpu(), c.conditioned)};
  if (c.residual) {
    on_gpu.residual = more.gpu();
    on_cpu.residual = more.cpu();
    const std::vector<double> added = more.exact();
    for (size_t i = 0; i < added.size(); ++i) want.y[i] += added[i];
  }
  cuda::group_norm_forward(shape, on_gpu, t.y.gpu(), statistics.get(), workspace.get(), nullptr);
  cuda::group_norm_backward(shape, on_gpu, statistics.get(), t.dy.gpu(),
                            {t.dx.gpu(), floats(t.dgamma.gpu()), floats(t.dbeta.gpu()),
                             floats(t.d_condition.gpu(), c.conditioned)},
                            workspace.get(), nullptr);
  cpu::group_norm_forward(shape, on_cpu, t.y.cpu(), statistics_cpu.data(), nullptr, nullptr);
  cpu::group_norm_backward(shape, on_cpu, statistics_cpu.data(), t.dy.cpu(),
                           {t.dx.cpu(), floats(t.dgamma.cpu()), floats(t.dbeta.cpu()),
                            floats(t.d_condition.cpu(), c.conditioned)},
                           nullptr, nullptr);
  compare(c, type, t, want);
}

TEST_F(NormKernels, GroupNormAgreesWithDoublePrecision) {
  for (const FloatType type : kAllTypes)
    in_every_order([&] {
      check_group_norm({2, 16, 32, 8, true, true, true}, type);
      check_group_norm({1, 49, 24, 2, true, true, false}, type);
      check_group_norm({3, 9, 10, 5, false, false, false},
                       type);  // groups of two channels, no pack fits
      check_group_norm({2, 5, 36, 3, true, false, true, 1}, type);
      check_group_norm({2, 9, 32, 4, true, true, false, 0, true}, type);
      check_group_norm({1, 5, 12, 3, true, true, false, 1, true}, type);
      check_group_norm({2, 70, 8, 2, true, true, true}, type);
    });
}

TEST_F(NormKernels, GroupNormAddsUpManyPositionsAndManyChannels) {
  check_group_norm({1, 3000, 8, 4, true, true, true}, FloatType::kFloat32);
  check_group_norm({2, 3, 1040, 8, true, true, true},
                   FloatType::kBfloat16);  // more than one tile of columns
}

TEST_F(NormKernels, GroupNormKeepsItsDigitsUnderALargeMean) {
  const GroupNormShape shape{1, 64, 8, 2, 1e-5f, false, FloatType::kFloat32};
  const std::vector<float> x = made_up(512, 1, 1.0f, 1000.0f);
  DeviceArray<float> in(x), y(512), statistics(4),
      workspace(static_cast<size_t>(shape.workspace()));
  cuda::group_norm_forward(shape, {in.get()}, y.get(), statistics.get(), workspace.get(), nullptr);
  for (int group = 0; group < 2; ++group) {
    double mean = 0, square = 0;
    for (int i = 0; i < 512; ++i)
      if (i % 8 / 4 == group) mean += x[i] / 256.0;
    for (int i = 0; i < 512; ++i)
      if (i % 8 / 4 == group) square += (x[i] - mean) * (x[i] - mean) / 256.0;
    EXPECT_NEAR(statistics.values()[group * 2 + 1], 1 / std::sqrt(square + 1e-5), 2e-6);
  }
}

void check_channel_rows(const NormCase& c, FloatType type) {
  const ChannelRowsShape shape{c.batch, c.positions, c.channels, c.silu, type};
  NormTensors t(c, type);
  const std::vector<double> zeros(c.channels, 0.0);
  const NormReference want =
      reference(c, 0, t.x.exact(), t.gamma.exact(), zeros, t.condition.exact(), t.dy.exact());
  DeviceArray<float> workspace(static_cast<size_t>(shape.workspace()));
  const float *condition = floats(t.condition.gpu(), c.conditioned),
              *condition_cpu = floats(t.condition.cpu(), c.conditioned);
  cuda::channel_rows_forward(shape, t.x.gpu(), floats(t.gamma.gpu()), condition, t.y.gpu(),
                             nullptr);
  cuda::channel_rows_backward(shape, t.x.gpu(), floats(t.gamma.gpu()), condition, t.dy.gpu(),
                              t.dx.gpu(), floats(t.dgamma.gpu()),
                              floats(t.d_condition.gpu(), c.conditioned), workspace.get(), nullptr);
  cpu::channel_rows_forward(shape, t.x.cpu(), floats(t.gamma.cpu()), condition_cpu, t.y.cpu(),
                            nullptr);
  cpu::channel_rows_backward(shape, t.x.cpu(), floats(t.gamma.cpu()), condition_cpu, t.dy.cpu(),
                             t.dx.cpu(), floats(t.dgamma.cpu()),
                             floats(t.d_condition.cpu(), c.conditioned), nullptr, nullptr);
  compare(c, type, t, want);
}

TEST_F(NormKernels, ChannelNormAgreesWithDoublePrecision) {
  for (const FloatType type : kAllTypes)
    in_every_order([&] {
      check_channel_rows({2, 16, 64, 0, true, true, true}, type);
      check_channel_rows({3, 7, 24, 0, true, true, false}, type);
      check_channel_rows({1, 35, 19, 0, false, true, true}, type);
      check_channel_rows({2, 4, 300, 0, true, true, true, 1}, type);
      check_channel_rows({3, 75, 8, 0, true, true, true},
                         type);  // narrow: several positions a warp
      check_channel_rows({1, 1, 4, 0, true, true, true}, type);
      check_channel_rows({2, 37, 1, 0, false, true, true}, type);
    });
}

TEST_F(NormKernels, ChannelNormGivesZeroForAPositionOfZeros) {
  const ChannelRowsShape shape{1, 2, 8, false, FloatType::kFloat32};
  std::vector<float> x = made_up(16, 1), g(8, 1.0f);
  for (int i = 0; i < 8; ++i) x[i] = 0;
  DeviceArray<float> in(x), gain(g), y(16);
  cuda::channel_rows_forward(shape, in.get(), gain.get(), nullptr, y.get(), nullptr);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(y.values()[i], 0.0f);
}

}  // namespace
}  // namespace lockstep
