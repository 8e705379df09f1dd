#include "train/fallbacks.h"

namespace lockstep {
namespace {

bool is_named(const Sources& sources, const std::string& key) {
  const auto found = sources.find(key);
  return found != sources.end() && found->second != "default";
}

bool has_bf16_instructions() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16");
}

}  // namespace

std::vector<std::string> fallbacks(const LoadedConfig& loaded, const RunPlan& plan) {
  const RunConfig& config = *loaded.config;
  std::vector<std::string> out;
  if (plan.device != "cpu") return out;
  const bool seed_style = config.log.style != "lockstep";
  if (config.step.graph == "auto" && is_named(loaded.sources, "step.graph"))
    out.push_back(seed_style ? "⚠️  Could not compile model: step.graph needs CUDA graphs, and this run computes on a CPU\n"
                               "   Continuing without compilation"
                             : "step.graph: auto: a CPU has no CUDA graphs; continuing with the step operation by operation");
  if (config.precision.compute == "bf16" && !has_bf16_instructions())
    out.push_back("precision.compute: bf16: this CPU has no bf16 instructions; continuing, correct but slower than fp32");
  return out;
}

}  // namespace lockstep
