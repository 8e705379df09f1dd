// Time of the fused language operations on a CPU against LibTorch's operations, forward and
// backward, one thread.
//
//   kernels_bench [rounds] [case]
//
// 1,024 tokens of width 768, MLP 2,048, 6 heads of 128, 50,304 words (128 rows); float32 and
// bfloat16. CPU seconds, the two in turn, medians. One JSON line a case;
// bench/results/kernels-cpu.json holds them.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "bench/clocks.h"
#include "kernels/kernel_isa.h"
#include "kernels/language/language_operations.h"

using namespace lockstep;

namespace {

using Operation =
    std::function<at::Tensor(const std::vector<at::Tensor>&, const LanguageKernelOptions&)>;

at::Tensor wave(const std::vector<int64_t>& shape, double phase, at::ScalarType dtype) {
  int64_t count = 1;
  for (const int64_t side : shape) count *= side;
  return (at::sin(at::arange(count, at::kDouble) * 1.7 + phase) * 2)
      .reshape(shape)
      .to(dtype)
      .set_requires_grad(true);
}

struct Times {
  std::vector<double> forward, backward;
};

void run(const Operation& operation, const std::vector<at::Tensor>& inputs, bool fused,
         Times& times) {
  const double start = cpu_seconds();
  const at::Tensor y = operation(inputs, {fused, false});
  const double middle = cpu_seconds();
  torch::autograd::grad({y}, inputs, {at::ones_like(y)});
  times.forward.push_back(middle - start);
  times.backward.push_back(cpu_seconds() - middle);
}

double median(std::vector<double> values) {
  values.erase(values.begin());  // the first one warms up
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

void measure(const std::string& name, at::ScalarType dtype, int rounds, const Operation& operation,
             const std::vector<at::Tensor>& inputs) {
  Times ours, theirs;
  for (int i = 0; i <= rounds; ++i) {
    run(operation, inputs, true, ours);
    run(operation, inputs, false, theirs);
  }
  const double f = median(ours.forward), b = median(ours.backward), tf = median(theirs.forward),
               tb = median(theirs.backward);
  fmt::print(
      "{{\"case\": \"{}\", \"dtype\": \"{}\", \"forward_ms\": {:.3f}, \"backward_ms\": {:.3f}, "
      "\"libtorch_forward_ms\": {:.3f}, "
      "\"libtorch_backward_ms\": {:.3f}, \"speedup\": {:.2f}}}\n",
      name, c10::toString(dtype), 1e3 * f, 1e3 * b, 1e3 * tf, 1e3 * tb, (tf + tb) / (f + b));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 9;
  const std::string only = argc > 2 ? argv[2] : "";
  const RotaryTable table = rotary_table(1024, 128, 10'000, at::kFloat, at::kCPU);
  const at::Tensor targets = at::arange(128).mul(389);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto bench = [&](const char* name, const Operation& operation,
                           const std::vector<at::Tensor>& inputs) {
      if (only.empty() || only == name) measure(name, dtype, rounds, operation, inputs);
    };
    bench("rms_norm", [](const auto& in, const auto& o) { return rms_norm(in[0], in[1], 1e-6, o); },
          {wave({1024, 768}, 0.1, dtype), wave({768}, 0.5, at::kFloat)});
    bench("add_rms_norm",
          [](const auto& in, const auto& o) {
            const NormedSum both = add_rms_norm(in[0], in[1], in[2], 1e-6, o);
            return both.normed;
          },
          {wave({1024, 768}, 0.1, dtype), wave({1024, 768}, 0.7, dtype),
           wave({768}, 0.5, at::kFloat)});
    bench("swiglu", [](const auto& in, const auto& o) { return swiglu(in[0], o); },
          {wave({1024, 4096}, 0.1, dtype)});
    bench("rotary_qk_norm",
          [&](const auto& in, const auto& o) { return rotary(in[0], table, {}, {}, o); },
          {wave({1, 1024, 6, 128}, 0.1, dtype)});
    bench("cross_entropy_softcap",
          [&](const auto& in, const auto& o) { return cross_entropy(in[0], targets, 15, o); },
          {wave({128, 50'304}, 0.1, dtype)});
  }
  return 0;
}
