// SwiGLU, RMSNorm, rotary positions and cross-entropy: device code and CPU twin against double
// precision, in three types, with rows of odd length, rows that are not aligned, and more rows than
// a grid has blocks.
#include "kernels/language/cross_entropy_kernel.h"
#include "kernels/language/rms_norm_kernel.h"
#include "kernels/language/rotary_kernel.h"
#include "kernels/language/swiglu_kernel.h"
#include "tests/emulation/device.h"

namespace lockstep {
namespace {

using namespace testing;

class LanguageKernels : public KernelTest {};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

void check_swiglu(int64_t rows, int64_t columns, int64_t stride, size_t offset, FloatType type) {
  const SwigluShape shape{rows, columns, stride, type};
  const size_t inputs = static_cast<size_t>(rows * stride),
               outputs = static_cast<size_t>(rows * columns);
  Tensor gate(made_up(inputs, 1, 5), type, offset), up(made_up(inputs, 2, 2), type, offset),
      dy(made_up(outputs, 3), type, offset);
  Tensor y(outputs, type, offset), dgate(made_up(inputs, 4), type, offset),
      dup(made_up(inputs, 5), type, offset);
  const std::vector<double> g = gate.exact(), u = up.exact(), d = dy.exact();
  std::vector<double> want(outputs), want_gate = dgate.exact(),
                                     want_up = dup.exact();  // columns between rows stay
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t i = r * stride + c, o = r * columns + c;
      const double s = sigmoid(g[i]);
      want[o] = g[i] * s * u[i];
      want_gate[i] = d[o] * u[i] * s * (1 + g[i] * (1 - s));
      want_up[i] = d[o] * g[i] * s;
    }
  cuda::swiglu_forward(shape, gate.gpu(), up.gpu(), y.gpu(), nullptr);
  cuda::swiglu_backward(shape, gate.gpu(), up.gpu(), dy.gpu(), dgate.gpu(), dup.gpu(), nullptr);
  cpu::swiglu_forward(shape, gate.cpu(), up.cpu(), y.cpu(), nullptr);
  cpu::swiglu_backward(shape, gate.cpu(), up.cpu(), dy.cpu(), dgate.cpu(), dup.cpu(), nullptr);
  const double tolerance = tolerance_of(type);
  expect_close(y.from_gpu(), want, tolerance, "y");
  expect_close(y.from_cpu(), want, tolerance, "y of the twin");
  expect_close(dgate.from_gpu(), want_gate, tolerance, "dgate");
  expect_close(dgate.from_cpu(), want_gate, tolerance, "dgate of the twin");
  expect_close(dup.from_gpu(), want_up, tolerance, "dup");
  expect_close(dup.from_cpu(), want_up, tolerance, "dup of the twin");
}

TEST_F(LanguageKernels, SwigluAgreesWithDoublePrecision) {
  for (const FloatType type : kAllTypes)
    in_every_order([&] {
      check_swiglu(3, 40, 40, 0, type);
      check_swiglu(5, 24, 56, 0, type);  // halves of a fused projection
      check_swiglu(4, 37, 41, 0, type);  // no pack fits
      check_swiglu(3, 32, 32, 1, type);  // not aligned
      check_swiglu(0, 32, 32, 0, type);
    });
}

TEST_F(LanguageKernels, SwigluWalksOnWhereTheGridEnds) {
  check_swiglu(9, 60'089, 60'089, 0, FloatType::kFloat32);
}

void check_rms_norm(int64_t rows, int64_t columns, bool residual, bool weighted, bool past,
                    size_t offset, FloatType type) {
  const RmsNormShape shape{rows, columns, 1e-5f, type};
  const size_t count = static_cast<size_t>(rows * columns);
  Tensor x(made_up(count, 1, 3, 0.5f), type, offset), add(made_up(count, 2, 2), type, offset);
  Tensor weight(made_up(static_cast<size_t>(columns), 3, 1, 1), FloatType::kFloat32, offset);
  Tensor dy(made_up(count, 4), type, offset), dh(made_up(count, 5), type, offset);
  Tensor h(count, type, offset), y(count, type, offset), dx(count, type, offset);
  Tensor rstd(static_cast<size_t>(rows), FloatType::kFloat32),
      dw(static_cast<size_t>(columns), FloatType::kFloat32);
  Tensor workspace(static_cast<size_t>(shape.workspace()), FloatType::kFloat32);
  const auto f = [](void* p) { return static_cast<float*>(p); };

  const std::vector<double> a = x.exact(), b = add.exact(), w = weight.exact(), d = dy.exact(),
                            e = dh.exact();
  std::vector<float> sum(count);
  for (size_t i = 0; i < count; ++i)
    sum[i] = static_cast<float>(a[i]) + (residual ? static_cast<float>(b[i]) : 0.0f);
  sum = rounded(sum, type);
  std::vector<double> want(count), want_dx(count), want_dw(static_cast<size_t>(columns));
  for (int64_t r = 0; r < rows; ++r) {
    double squares = 0, dot = 0;
    for (int64_t c = 0; c < columns; ++c)
      squares += static_cast<double>(sum[r * columns + c]) * sum[r * columns + c];
    const double scale = 1 / std::sqrt(squares / static_cast<double>(columns) + shape.eps);
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t i = r * columns + c;
      const double gain = weighted ? w[c] : 1;
      want[i] = sum[i] * scale * gain;
      want_dw[c] += d[i] * sum[i] * scale;
      dot += d[i] * gain * sum[i];
    }
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t i = r * columns + c;
      want_dx[i] = scale * (d[i] * (weighted ? w[c] : 1) -
                            sum[i] * scale * scale * dot / static_cast<double>(columns)) +
                   (past ? e[i] : 0);
    }
  }
  cuda::rms_norm_forward(shape, x.gpu(), residual ? add.gpu() : nullptr,
                         weighted ? f(weight.gpu()) : nullptr, residual ? h.gpu() : nullptr,
                         y.gpu(), f(rstd.gpu()), nullptr);
  cuda::rms_norm_backward(shape, residual ? h.gpu() : x.gpu(), weighted ? f(weight.gpu()) : nullptr,
                          f(rstd.gpu()), dy.gpu(), past ? dh.gpu() : nullptr, dx.gpu(),
                          weighted ? f(dw.gpu()) : nullptr, f(workspace.gpu()), nullptr);
  cpu::rms_norm_forward(shape, x.cpu(), residual ? add.cpu() : nullptr,
                        weighted ? f(weight.cpu()) : nullptr, residual ? h.cpu() : nullptr, y.cpu(),
                        f(rstd.cpu()), nullptr);
  cpu::rms_norm_backward(shape, residual ? h.cpu() : x.cpu(), weighted ? f(weight.cpu()) : nullptr,
                         f(rstd.cpu()), dy.cpu(), past ? dh.cpu() : nullptr, dx.cpu(),
                         weighted ? f(dw.cpu()) : nullptr, f(workspace.cpu()), nullptr);
  const double tolerance = tolerance_of(type);
  expect_close(y.from_gpu(), want, tolerance, "y");
  expect_close(y.from_cpu(), want, tolerance, "y of the twin");
  expect_close(dx.from_gpu(), want_dx, tolerance, "dx");
  expect_close(dx.from_cpu(), want_dx, tolerance, "dx of the twin");
  if (residual) {
    EXPECT_EQ(h.from_gpu(), sum);
    EXPECT_EQ(h.from_cpu(), sum);
  }
  if (!weighted) return;
  const double roundings = 4e-6 * std::sqrt(static_cast<double>(rows));  // of a sum over rows
  expect_close(dw.from_gpu(), want_dw, roundings, "dw");
  expect_close(dw.from_cpu(), want_dw, roundings, "dw of the twin");
}

TEST_F(LanguageKernels, RmsNormAgreesWithDoublePrecision) {
  for (const FloatType type : kAllTypes)
    in_every_order([&] {
      check_rms_norm(11, 64, true, true, true, 0, type);
      check_rms_norm(70, 136, false, true, false, 0, type);
      check_rms_norm(9, 77, true, false, true, 0, type);
      check_rms_norm(3, 320, false, false, false, 1, type);
      check_rms_norm(1, 1, true, true, false, 0, type);
    });
}

TEST_F(LanguageKernels, RmsNormAddsUpManyRows) {
  check_rms_norm(700, 40, true, true, true, 0, FloatType::kFloat32);
  check_rms_norm(34'000, 3, false, true, false, 0,
                 FloatType::kFloat32);  // more rows than a grid's warps
}

struct RotaryCase {
  int64_t tokens, heads, head_size, stride;
  bool normalize, positions;
  size_t offset;
};

void check_rotary(const RotaryCase& c, FloatType type) {
  const RotaryShape shape{c.tokens, c.heads, c.head_size, c.stride, 5, c.normalize, 1e-6f, type};
  const size_t in = static_cast<size_t>(c.tokens * c.stride),
               out = static_cast<size_t>(c.tokens * c.heads * c.head_size);
  const int64_t half = c.head_size / 2, table = 5;
  Tensor x(made_up(in, 1, 2), type, c.offset), dy(made_up(out, 2), type, c.offset),
      y(out, type, c.offset);
  Tensor dx(made_up(in, 3), type, c.offset);
  std::vector<float> cosines(static_cast<size_t>(table * half)), sines(cosines.size());
  for (int64_t p = 0; p < table; ++p)
    for (int64_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(p) *
          std::pow(10'000.0, -2.0 * static_cast<double>(i) / static_cast<double>(c.head_size));
      // Rounded as the seed's table is: such a turn does not quite keep lengths.
      cosines[p * half + i] =
          rounded({static_cast<float>(std::cos(angle))}, FloatType::kBfloat16)[0];
      sines[p * half + i] = rounded({static_cast<float>(std::sin(angle))}, FloatType::kBfloat16)[0];
    }
  std::vector<int32_t> positions(static_cast<size_t>(c.tokens));
  for (int64_t t = 0; t < c.tokens; ++t) positions[t] = static_cast<int32_t>((t * 3 + 1) % table);
  DeviceArray<float> cosine(cosines), sine(sines), rstd(static_cast<size_t>(c.tokens * c.heads));
  DeviceArray<int32_t> place(positions);
  std::vector<float> rstd_cpu(static_cast<size_t>(c.tokens * c.heads));

  const std::vector<double> a = x.exact(), d = dy.exact();
  std::vector<double> want(out), want_dx = dx.exact();
  cpu::rotary_forward(shape, x.cpu(), cosines.data(), sines.data(),
                      c.positions ? positions.data() : nullptr, y.cpu(), rstd_cpu.data(), nullptr);
  const std::vector<double> rounded_y = y.exact();  // what backward knows of y
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t h = 0; h < c.heads; ++h) {
      const int64_t from = t * c.stride + h * c.head_size, to = (t * c.heads + h) * c.head_size;
      const int64_t row = (c.positions ? positions[t] : t % 5) * half;
      double squares = 0, dot = 0;
      for (int64_t i = 0; i < c.head_size; ++i) dot += rounded_y[to + i] * d[to + i];
      for (int64_t i = 0; i < half; ++i) {
        const double cs = cosines[row + i], sn = sines[row + i];
        squares += std::pow(a[from + i] * cs + a[from + half + i] * sn, 2) +
                   std::pow(a[from + half + i] * cs - a[from + i] * sn, 2);
      }
      const double scale =
          c.normalize ? 1 / std::sqrt(squares / static_cast<double>(c.head_size) + shape.eps) : 1;
      const double share = c.normalize ? dot / static_cast<double>(c.head_size) : 0;
      for (int64_t i = 0; i < half; ++i) {
        const double cs = cosines[row + i], sn = sines[row + i];
        want[to + i] = (a[from + i] * cs + a[from + half + i] * sn) * scale;
        want[to + half + i] = (a[from + half + i] * cs - a[from + i] * sn) * scale;
        const double d1 = scale * (d[to + i] - rounded_y[to + i] * share),
                     d2 = scale * (d[to + half + i] - rounded_y[to + half + i] * share);
        want_dx[from + i] = d1 * cs - d2 * sn;
        want_dx[from + half + i] = d2 * cs + d1 * sn;
      }
    }
  const int32_t* placed = c.positions ? place.get() : nullptr;
  cuda::rotary_forward(shape, x.gpu(), cosine.get(), sine.get(), placed, y.gpu(), rstd.get(),
                       nullptr);
  cuda::rotary_backward(shape, y.gpu(), rstd.get(), cosine.get(), sine.get(), placed, dy.gpu(),
                        dx.gpu(), nullptr);
  cpu::rotary_backward(shape, y.cpu(), rstd_cpu.data(), cosines.data(), sines.data(),
                       c.positions ? positions.data() : nullptr, dy.cpu(), dx.cpu(), nullptr);
  const double tolerance = tolerance_of(type);
  expect_close(y.from_gpu(), want, tolerance, "y");
  expect_close(y.from_cpu(), want, tolerance, "y of the twin");
  expect_close(dx.from_gpu(), want_dx, 2 * tolerance,
               "dx");  // its y is rounded, perhaps not as the twin's
  expect_close(dx.from_cpu(), want_dx, tolerance, "dx of the twin");
}

TEST_F(LanguageKernels, RotaryAgreesWithDoublePrecision) {
  for (const FloatType type : kAllTypes)
    in_every_order([&] {
      check_rotary({7, 3, 64, 192, true, false, 0}, type);
      check_rotary({6, 2, 128, 3 * 256, true, true, 0},
                   type);  // queries of a fused projection, packed documents
      check_rotary({4, 2, 10, 20, true, true, 0}, type);  // halves of five
      check_rotary({5, 1, 32, 33, false, false, 0}, type);
      check_rotary({3, 2, 64, 128, true, false, 1}, type);
    });
}

struct EntropyCase {
  int64_t rows, vocabulary, stride;
  float cap;
  size_t offset;
};

void check_cross_entropy(const EntropyCase& c, FloatType type) {
  const CrossEntropyShape shape{c.rows, c.vocabulary, c.stride, c.cap, type};
  const size_t count = static_cast<size_t>(c.rows * c.stride), rows = static_cast<size_t>(c.rows);
  Tensor logits(made_up(count, 1, 30), type, c.offset),
      d_losses(made_up(rows, 2), FloatType::kFloat32);
  std::vector<int64_t> targets(rows);
  for (size_t r = 0; r < rows; ++r)
    targets[r] = r % 5 == 3 ? kIgnoredTarget : static_cast<int64_t>(r * 7919) % c.vocabulary;
  Tensor losses(rows, FloatType::kFloat32), sums(rows, FloatType::kFloat32);
  DeviceArray<int64_t> words(targets);
  const auto f = [](void* p) { return static_cast<float*>(p); };

  const std::vector<double> l = logits.exact(), d = d_losses.exact();
  std::vector<double> want(rows), want_d = l;  // columns behind the vocabulary stay
  for (size_t r = 0; r < rows; ++r) {
    const auto z = [&](int64_t i) {
      const double logit = l[r * c.stride + i];
      return c.cap == 0 ? logit : c.cap * std::tanh(logit / c.cap);
    };
    double sum = 0;
    for (int64_t i = 0; i < c.vocabulary; ++i) sum += std::exp(z(i));
    const bool ignored = targets[r] == kIgnoredTarget;
    want[r] = ignored ? 0 : std::log(sum) - z(targets[r]);
    for (int64_t i = 0; i < c.vocabulary; ++i) {
      const double slope = c.cap == 0 ? 1 : 1 - std::pow(z(i) / c.cap, 2);
      want_d[r * c.stride + i] =
          ignored ? 0 : d[r] * (std::exp(z(i)) / sum - (i == targets[r] ? 1 : 0)) * slope;
    }
  }
  cuda::cross_entropy_forward(shape, logits.gpu(), words.get(), f(losses.gpu()), f(sums.gpu()),
                              nullptr);
  cuda::cross_entropy_backward(shape, logits.gpu(), words.get(), f(sums.gpu()), f(d_losses.gpu()),
                               logits.gpu(), nullptr);
  cpu::cross_entropy_forward(shape, logits.cpu(), targets.data(), f(losses.cpu()), f(sums.cpu()),
                             nullptr);
  cpu::cross_entropy_backward(shape, logits.cpu(), targets.data(), f(sums.cpu()), f(d_losses.cpu()),
                              logits.cpu(), nullptr);
  expect_close(losses.from_gpu(), want, 4e-6, "losses");
  expect_close(losses.from_cpu(), want, 4e-6, "losses of the twin");
  expect_close(logits.from_gpu(), want_d, tolerance_of(type), "dlogits");
  expect_close(logits.from_cpu(), want_d, tolerance_of(type), "dlogits of the twin");
}

TEST_F(LanguageKernels, CrossEntropyAgreesWithDoublePrecision) {
  for (const FloatType type : kAllTypes)
    in_every_order([&] {
      check_cross_entropy({7, 64, 64, 15.0f, 0}, type);
      check_cross_entropy({6, 3000, 3008, 0.0f, 0}, type);   // a padded vocabulary
      check_cross_entropy({4, 2501, 2501, 15.0f, 0}, type);  // no pack fits
      check_cross_entropy({5, 16, 24, 30.0f, 1}, type);
      check_cross_entropy({2, 1, 1, 0.0f, 0}, type);
    });
}

TEST_F(LanguageKernels, CrossEntropyBearsLargeLogitsAndNoticesBadOnes) {
  const CrossEntropyShape shape{4, 8, 8, 0, FloatType::kFloat32};
  std::vector<float> values = made_up(32, 1);
  values[0] = 1e30f;      // row 0: a loss of 0
  values[8] = -INFINITY;  // row 1: a word that cannot be
  values[16] = NAN;       // row 2
  DeviceArray<float> logits(values), losses(4), sums(4);
  DeviceArray<int64_t> targets(std::vector<int64_t>{0, 1, 1, 8});  // row 3: not a word
  cuda::cross_entropy_forward(shape, logits.get(), targets.get(), losses.get(), sums.get(),
                              nullptr);
  std::vector<float> twin(4), twin_sums(4);
  cpu::cross_entropy_forward(shape, values.data(), std::vector<int64_t>{0, 1, 1, 8}.data(),
                             twin.data(), twin_sums.data(), nullptr);
  const std::vector<float> gpu = losses.values();
  for (const std::vector<float>& got : {gpu, twin}) {
    EXPECT_EQ(got[0], 0.0f);
    EXPECT_TRUE(std::isfinite(got[1]));
    EXPECT_TRUE(std::isnan(got[2]));
    EXPECT_TRUE(std::isnan(got[3]));
  }
}

}  // namespace
}  // namespace lockstep
