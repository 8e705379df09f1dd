#include "kernels/kernel_isa.h"

#include <atomic>

#include "core/errors.h"

namespace lockstep {
namespace {

KernelIsa best_isa() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
    return KernelIsa::kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c"))
    return KernelIsa::kAvx2;
  return KernelIsa::kNone;
}

std::atomic<KernelIsa>& chosen() {
  static std::atomic<KernelIsa> isa{best_isa()};
  return isa;
}

}  // namespace

void set_kernel_isa(const std::string& isa) {
  if (isa != "native" && isa != "avx2")
    throw ConfigError("unknown instruction set '" + isa + "'", "run.cpu_isa is native or avx2");
  const KernelIsa best = best_isa();
  if (isa == "avx2" && best == KernelIsa::kNone)
    throw EnvironmentError("run.cpu_isa is avx2, and this CPU does not offer AVX2 and FMA",
                           "use run.cpu_isa=native");
  chosen() = isa == "avx2" ? KernelIsa::kAvx2 : best;
}

KernelIsa kernel_isa() { return chosen(); }

}  // namespace lockstep
