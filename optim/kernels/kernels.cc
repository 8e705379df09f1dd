#include "optim/kernels/kernels.h"

namespace lockstep {

const OptimizerKernels* optimizer_kernels(const std::string& isa) {
  if (isa == "generic") return &cpu::kGenericKernels;
  if (isa == "avx2" && __builtin_cpu_supports("avx2")) return &cpu::kAvx2Kernels;
  if (isa == "avx512" && __builtin_cpu_supports("avx512f")) return &cpu::kAvx512Kernels;
  return nullptr;
}

const OptimizerKernels& optimizer_kernels() {
  for (const char* isa : {"avx512", "avx2"})
    if (const OptimizerKernels* kernels = optimizer_kernels(isa)) return *kernels;
  return cpu::kGenericKernels;
}

}  // namespace lockstep
