// What one thread of this machine can do at most: multiplications and additions a second, bytes a
// second.
//
//   build/bin/machine_roofs_bench
//
// One line of JSON: "fp32_gflops" (fused multiply-add), "bf16_gflops" (vdpbf16ps; 0 if this CPU
// lacks it, AMX is not asked), "copy_gbytes_per_second" (64 MiB to 64 MiB, read and written bytes).
// Benchmarks put their own figures beside these.
#include <immintrin.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "bench/clocks.h"

using namespace lockstep;

namespace {

constexpr int kLanes = 12;  // independent sums: latency 4 x 2 units, and some more
constexpr int64_t kRounds = 20'000'000;

// All functions return something that depends on every operation, so that none is left out.
__attribute__((target("avx512f"))) float fma_512() {
  __m512 sums[kLanes];
#pragma GCC unroll 12
  for (auto& sum : sums) sum = _mm512_set1_ps(1.0F);
  const __m512 a = _mm512_set1_ps(0.999F), b = _mm512_set1_ps(0.001F);
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm512_fmadd_ps(sum, a, b);
  __m512 total = sums[0];
#pragma GCC unroll 12
  for (int k = 1; k < kLanes; ++k) total = _mm512_add_ps(total, sums[k]);
  return _mm512_cvtss_f32(total);
}

__attribute__((target("avx2,fma"))) float fma_256() {
  __m256 sums[kLanes];
#pragma GCC unroll 12
  for (auto& sum : sums) sum = _mm256_set1_ps(1.0F);
  const __m256 a = _mm256_set1_ps(0.999F), b = _mm256_set1_ps(0.001F);
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm256_fmadd_ps(sum, a, b);
  __m256 total = sums[0];
#pragma GCC unroll 12
  for (int k = 1; k < kLanes; ++k) total = _mm256_add_ps(total, sums[k]);
  return _mm256_cvtss_f32(total);
}

__attribute__((target("avx512f,avx512bf16"))) float bf16_512() {
  __m512 sums[kLanes];
#pragma GCC unroll 12
  for (auto& sum : sums) sum = _mm512_set1_ps(1.0F);
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5F), _mm512_set1_ps(0.25F));
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm512_dpbf16_ps(sum, a, a);
  __m512 total = sums[0];
#pragma GCC unroll 12
  for (int k = 1; k < kLanes; ++k) total = _mm512_add_ps(total, sums[k]);
  return _mm512_cvtss_f32(total);
}

volatile float sink;

// `flops` of one call of `body`, best of five.
template <class Body>
double gigaflops(double flops, Body&& body) {
  double best = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const double start = cpu_seconds();
    sink = body();
    best = std::max(best, flops / (cpu_seconds() - start) / 1e9);
  }
  return best;
}

double copy_gigabytes() {
  const size_t bytes = size_t{64} << 20;
  std::vector<char> from(bytes, 1), to(bytes, 2);
  double best = 0;
  for (int repeat = 0; repeat < 9; ++repeat) {
    const double start = cpu_seconds();
    std::memcpy(to.data(), from.data(), bytes);
    best = std::max(best, 2.0 * double(bytes) / (cpu_seconds() - start) / 1e9);
    sink = to[bytes / 2];
  }
  return best;
}

}  // namespace

int main() {
  __builtin_cpu_init();
  const double operations = double(kRounds) * kLanes * 2;
  const double fp32 = __builtin_cpu_supports("avx512f") ? gigaflops(16 * operations, fma_512)
                      : __builtin_cpu_supports("avx2")  ? gigaflops(8 * operations, fma_256)
                                                        : 0;
  const double bf16 =
      __builtin_cpu_supports("avx512bf16") ? gigaflops(32 * operations, bf16_512) : 0;
  std::printf("{\"fp32_gflops\": %.1f, \"bf16_gflops\": %.1f, \"copy_gbytes_per_second\": %.1f}\n",
              fp32, bf16, copy_gigabytes());
  return 0;
}
