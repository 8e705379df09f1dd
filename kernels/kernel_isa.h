// Which instruction set our own CPU kernels use (run.cpu_isa, design rule 5).
#pragma once

#include <string>

namespace lockstep {

enum class KernelIsa { kNone, kAvx2, kAvx512 };

// "native": the best this CPU has; "avx2": AVX2 even where there is more. Called once at start,
// before any kernel runs; process-wide, because one process runs one plan. Throws ConfigError for
// another word, EnvironmentError if the CPU lacks AVX2 although it is asked for.
void set_kernel_isa(const std::string& isa);

// What kernels use; kNone on a CPU without AVX2 and FMA, where fused kernels cannot run.
KernelIsa kernel_isa();

}  // namespace lockstep
