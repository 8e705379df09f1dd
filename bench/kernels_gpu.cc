// Time of each kernel alone, forward and backward, beside what its memory would need at the speed
// of a copy.
//
//   kernels_gpu_bench [--device cuda|cpu] [--case CASE] [--rounds N] [--json]
//
// Cases: swiglu, rms_norm, rotary, cross_entropy, group_norm, channel_rows, dropout, philox.
//
// bfloat16. Language shapes: 16,384 tokens of width 768, MLP 2,048, 6 heads of 128, 50,304 words
// (4,096 rows); image shapes: 64 images of 32 x 32 with 128 channels. With --device cpu a sixteenth
// of the rows. The peer, same cases: bench/peers/kernels_gpu.py.
#include "bench/gpu_clock.h"
#include "kernels/dropout_kernel.h"
#include "kernels/language/cross_entropy_kernel.h"
#include "kernels/language/rms_norm_kernel.h"
#include "kernels/language/rotary_kernel.h"
#include "kernels/language/swiglu_kernel.h"
#include "kernels/norms/channel_rows_kernel.h"
#include "kernels/norms/group_norm_kernel.h"
#include "tensor/random_fill.h"

using namespace lockstep;

namespace {

constexpr FloatType kType = FloatType::kBfloat16;

struct Bench {
  GpuBenchOptions options;
  double bandwidth;

  int64_t rows(int64_t full) const { return options.cuda ? full : full / 16; }
  // `moved`: elements of two bytes that have to travel.
  void print(const char* name, const char* what, double moved,
             const std::function<void()>& run) const {
    print_result(options, name, what, median_seconds(options.cuda, options.rounds, run), 2 * moved,
                 bandwidth);
  }
};

// bfloat16 numbers between −1 and 1.
class Values : public BenchMemory {
 public:
  Values(const Bench& b, int64_t count) : BenchMemory(b.options.cuda, 2 * count) {
    std::vector<uint16_t> some;
    for (uint32_t i = 0; i < 4099; ++i)
      some.push_back(static_cast<uint16_t>((i % 2 << 15) | (0x3c00 + i * 2654435761u % 0x380)));
    fill(some);
  }
};
class Floats : public BenchMemory {
 public:
  Floats(const Bench& b, int64_t count)
      : BenchMemory(b.options.cuda, 4 * std::max<int64_t>(count, 1)) {
    std::vector<float> some;
    for (uint32_t i = 0; i < 1021; ++i)
      some.push_back(0.5f + static_cast<float>(i * 2654435761u >> 16) / 131072.0f);
    fill(some);
  }
};

#define LOCKSTEP_KERNEL(name) (b.options.cuda ? cuda::name : cpu::name)

void swiglu(const Bench& b) {
  const SwigluShape s{b.rows(16'384), 2048, 2048, kType};
  const int64_t n = s.rows * s.columns;
  const Values gate(b, n), up(b, n), y(b, n), dgate(b, n), dup(b, n);
  b.print("swiglu", "forward", 3.0 * static_cast<double>(n),
          [&] { LOCKSTEP_KERNEL(swiglu_forward)(s, gate.get(), up.get(), y.get(), nullptr); });
  b.print("swiglu", "backward", 5.0 * static_cast<double>(n), [&] {
    LOCKSTEP_KERNEL(swiglu_backward)(s, gate.get(), up.get(), y.get(), dgate.get(), dup.get(),
                                     nullptr);
  });
}

void rms_norm(const Bench& b) {
  const RmsNormShape s{b.rows(16'384), 768, 1e-6f, kType};
  const int64_t n = s.rows * s.columns;
  const Values x(b, n), residual(b, n), h(b, n), y(b, n), dx(b, n);
  const Floats weight(b, s.columns), rstd(b, s.rows), dw(b, s.columns), workspace(b, s.workspace());
  b.print("rms_norm", "residual, forward", 4.0 * static_cast<double>(n), [&] {
    LOCKSTEP_KERNEL(rms_norm_forward)(s, x.get(), residual.get(), weight.as<float>(), h.get(),
                                      y.get(), rstd.as<float>(), nullptr);
  });
  b.print("rms_norm", "residual, backward", 4.0 * static_cast<double>(n), [&] {
    LOCKSTEP_KERNEL(rms_norm_backward)(s, h.get(), weight.as<float>(), rstd.as<float>(), y.get(),
                                       x.get(), dx.get(), dw.as<float>(), workspace.as<float>(),
                                       nullptr);
  });
}

void rotary(const Bench& b) {
  const RotaryShape s{b.rows(16'384), 6, 128, 768, 1024, true, 1e-6f, kType};
  const int64_t n = s.tokens * s.heads * s.head_size;
  const Values x(b, n), y(b, n), dx(b, n);
  const Floats cosines(b, 1024 * 64), sines(b, 1024 * 64), rstd(b, s.tokens * s.heads);
  b.print("rotary", "with QK norm, forward", 2.0 * static_cast<double>(n), [&] {
    LOCKSTEP_KERNEL(rotary_forward)(s, x.get(), cosines.as<float>(), sines.as<float>(), nullptr,
                                    y.get(), rstd.as<float>(), nullptr);
  });
  b.print("rotary", "with QK norm, backward", 3.0 * static_cast<double>(n), [&] {
    LOCKSTEP_KERNEL(rotary_backward)(s, y.get(), rstd.as<float>(), cosines.as<float>(),
                                     sines.as<float>(), nullptr, x.get(), dx.get(), nullptr);
  });
}

void cross_entropy(const Bench& b) {
  const CrossEntropyShape s{b.rows(4096), 50'304, 50'304, 15.0f, kType};
  const int64_t n = s.rows * s.vocabulary;
  const Values logits(b, n), dlogits(b, n);
  const Floats losses(b, s.rows), sums(b, s.rows);
  BenchMemory targets(b.options.cuda, 8 * s.rows);
  targets.fill(std::vector<int64_t>{17, 40'000, 3, 50'303});
  b.print("cross_entropy", "softcap 15, forward", static_cast<double>(n), [&] {
    LOCKSTEP_KERNEL(cross_entropy_forward)(s, logits.get(), targets.as<int64_t>(),
                                           losses.as<float>(), sums.as<float>(), nullptr);
  });
  b.print("cross_entropy", "softcap 15, backward", 2.0 * static_cast<double>(n), [&] {
    LOCKSTEP_KERNEL(cross_entropy_backward)(s, logits.get(), targets.as<int64_t>(),
                                            sums.as<float>(), losses.as<float>(), dlogits.get(),
                                            nullptr);
  });
}

void group_norm(const Bench& b) {
  const GroupNormShape s{b.rows(64), 1024, 128, 8, 1e-5f, true, kType};
  const int64_t n = s.batch * s.positions * s.channels;
  const Values x(b, n), y(b, n), dx(b, n);
  const Floats gamma(b, 128), beta(b, 128), condition(b, s.batch * 256),
      statistics(b, s.batch * 16), workspace(b, s.workspace());
  const Floats dgamma(b, 128), dbeta(b, 128), d_condition(b, s.batch * 256);
  const GroupNormInputs in{x.get(), gamma.as<float>(), beta.as<float>(), condition.as<float>()};
  b.print("group_norm", "scale, shift, SiLU, forward", 2.0 * static_cast<double>(n), [&] {
    LOCKSTEP_KERNEL(group_norm_forward)(s, in, y.get(), statistics.as<float>(),
                                        workspace.as<float>(), nullptr);
  });
  b.print("group_norm", "scale, shift, SiLU, backward", 3.0 * static_cast<double>(n), [&] {
    LOCKSTEP_KERNEL(group_norm_backward)(
        s, in, statistics.as<float>(), y.get(),
        {dx.get(), dgamma.as<float>(), dbeta.as<float>(), d_condition.as<float>()},
        workspace.as<float>(), nullptr);
  });
}

void channel_rows(const Bench& b) {
  const ChannelRowsShape s{b.rows(64), 1024, 128, true, kType};
  const int64_t n = s.batch * s.positions * s.channels;
  const Values x(b, n), y(b, n), dx(b, n);
  const Floats g(b, 128), condition(b, s.batch * 256), dg(b, 128), d_condition(b, s.batch * 256),
      workspace(b, s.workspace());
  b.print("channel_rows", "scale, shift, SiLU, forward", 2.0 * static_cast<double>(n), [&] {
    LOCKSTEP_KERNEL(channel_rows_forward)(s, x.get(), g.as<float>(), condition.as<float>(), y.get(),
                                          nullptr);
  });
  b.print("channel_rows", "scale, shift, SiLU, backward", 3.0 * static_cast<double>(n), [&] {
    LOCKSTEP_KERNEL(channel_rows_backward)(s, x.get(), g.as<float>(), condition.as<float>(),
                                           y.get(), dx.get(), dg.as<float>(),
                                           d_condition.as<float>(), workspace.as<float>(), nullptr);
  });
}

void philox(const Bench& b) {
  const RandomRows s = random_rows(Stream(1, Purpose::kNoise), b.rows(512), 3 * 64 * 64);
  const Floats out(b, s.rows * s.elements);
  BenchMemory ids(b.options.cuda, 8 * s.rows), step(b.options.cuda, 8);
  const double moved = 2.0 * static_cast<double>(s.rows * s.elements);
  b.print("philox", "uniform float32", moved, [&] {
    LOCKSTEP_KERNEL(fill_uniform)(s, ids.as<int64_t>(), step.as<int64_t>(), out.as<float>(),
                                  nullptr);
  });
  b.print("philox", "normal float32", moved, [&] {
    LOCKSTEP_KERNEL(fill_normal)(s, ids.as<int64_t>(), step.as<int64_t>(), out.as<float>(),
                                 nullptr);
  });
}

void dropout(const Bench& b) {
  DropoutShape s{b.rows(64), 128, 32 * 32, /*channels_last=*/true, 0.1f, 1 / 0.9f, 0, kType};
  const int64_t n = s.batch * s.channels * s.positions;
  const Values x(b, n), y(b, n);
  const BenchMemory numbers(b.options.cuda, 8 * (2 + s.batch));
  for (const bool last : {true, false}) {
    s.channels_last = last;
    b.print("dropout", last ? "channels last" : "channels first", 2.0 * static_cast<double>(n),
            [&] { LOCKSTEP_KERNEL(dropout)(s, numbers.as<int64_t>(), x.get(), y.get(), nullptr); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  const GpuBenchOptions options(argc, argv);
  const Bench bench{options, copy_bandwidth(options.cuda, options.rounds)};
  const std::pair<const char*, void (*)(const Bench&)> all[] = {
      {"swiglu", swiglu},         {"rms_norm", rms_norm},
      {"rotary", rotary},         {"cross_entropy", cross_entropy},
      {"group_norm", group_norm}, {"channel_rows", channel_rows},
      {"dropout", dropout},       {"philox", philox}};
  for (const auto& [name, run] : all)
    if (options.wants(name)) run(bench);
  return 0;
}
