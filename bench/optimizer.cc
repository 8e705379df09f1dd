// Time of an AdamW update per parameter, one thread: our fused kernel (with gradient scaling,
// clipping and EMA folded in), LibTorch's fused kernels, and the plain reference.
//     optimizer_bench [rounds]
// The peer is bench/peers/optimizer.py.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <chrono>
#include <functional>

#include "core/log.h"
#include "optim/adam.h"
#include "optim/clip.h"

using namespace lockstep;

namespace {

double seconds_of(int rounds, const std::function<void()>& body) {
  body();
  double best = 1e30;
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

NamedTensors tensors(int count, int64_t elements) {
  NamedTensors result;
  for (int i = 0; i < count; ++i) result.push_back({fmt::format("p{}", i), at::empty({elements})});
  return result;
}

void measure(const std::string& what, const NamedTensors& parameters, int rounds) {
  const ArenaLayout layout = ArenaLayout::of(parameters);
  Arena weights(layout), gradients(layout), ema(layout);
  gradients.flat().fill_(0.01);
  const double per_parameter = 1e9 / static_cast<double>(layout.size);
  for (const char* implementation : {"fused", "foreach", "reference"}) {
    AdamWOptions options;
    options.implementation = implementation;
    const auto optimizer = make_adam(options, true, layout);
    const UpdateTerms plain{.lr = 1e-3};
    UpdateTerms all{
        .lr = 1e-3, .gradient = {0.5f, 0.5f}, .ema = &ema, .ema_move = EmaMove{false, 0.005f}};
    fmt::print(
        "{:<24} {:<10} update {:6.3f} ns/parameter   with scaling, clipping, EMA {:6.3f}\n", what,
        implementation,
        per_parameter * seconds_of(rounds, [&] { optimizer->step(weights, gradients, plain); }),
        per_parameter * seconds_of(rounds, [&] { optimizer->step(weights, gradients, all); }));
  }
  fmt::print("{:<24} {:<10} {:6.3f} ns/parameter\n", what, "norm",
             per_parameter * seconds_of(rounds, [&] { gradient_norm(gradients); }));
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  set_up_log({.level = LogLevel::kWarning});
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 10;
  measure("300 x 119,000 (35.7 M)", tensors(300, 119'000), rounds);
  measure("1000 x 512", tensors(1000, 512), rounds * 20);
}
