// Notes on switches of the config that bring nothing on this machine. A run shows them once at its
// start, so that nobody waits for a speed-up that cannot come. What cannot be done at all
// (`step.graph: on` or `run.device: cuda` on a CPU) is an error instead (run_plan.cc).
#pragma once

#include <string>
#include <vector>

#include "train/plan/run_config.h"
#include "train/plan/run_plan.h"

namespace lockstep {

// What low precision and fused updates need of a CPU.
struct CpuAbilities {
  bool bf16_instructions = false;  // AVX512_BF16
  bool bf16_tiles =
      false;  // AMX, the only units of today's CPUs that are faster in bf16 than in fp32
  bool vector_updates = false;  // AVX2 or wider, for the fused optimizer
};
CpuAbilities probe_cpu_abilities();

// One note for each such switch that the config file or the command line names. Switches left at
// their default give none. With log.style seed the notes have the seed's words.
std::vector<std::string> fallbacks(const LoadedConfig& loaded, const RunPlan& plan,
                                   const CpuAbilities& cpu);

}  // namespace lockstep
