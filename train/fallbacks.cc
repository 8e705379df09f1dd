// Decides which notes a run on a CPU begins with. A note needs two things: somebody asked for the
// switch (the file or the command line names it), and this CPU gains nothing from it or lacks it.
#include "train/fallbacks.h"

#include <cpuid.h>

#include <cstring>

#include "optim/kernels/kernels.h"
#include "train/precision.h"

namespace lockstep {
namespace {

bool is_named(const Sources& sources, const std::string& key) {
  const auto found = sources.find(key);
  return found != sources.end() && found->second != "default";
}

// The word of the field `name`, or "".
std::string word_of(const Choice& choice, const std::string& name) {
  struct Find : FieldVisitor {
    explicit Find(std::string name) : name_(std::move(name)) {}
    void field(const Field& field) override {
      if (auto* const* word = std::get_if<std::string*>(&field.value);
          word != nullptr && field.name == name_)
        found_ = **word;
    }
    std::string name_, found_;
  } find(name);
  choice.options->visit(find);
  return find.found_;
}

std::string graph_text(bool seed_style) {
  return seed_style ? "⚠️  Could not compile model: step.graph needs CUDA graphs, and this run "
                      "computes on a CPU\n"
                      "   Continuing without compilation"
                    : "step.graph: auto: a CPU has no CUDA graphs; continuing with the step "
                      "operation by operation";
}

std::string precision_text(Compute compute, const CpuAbilities& cpu) {
  const Precision precision = precision_of(compute);
  if (precision.dtype == at::kFloat) return "";
  std::string lacks;
  if (precision.dtype == at::kHalf)
    lacks = "CPUs compute fp16 in fp32 and convert";
  else if (!cpu.bf16_instructions)
    lacks = "this CPU has no bf16 instructions";
  else if (!cpu.bf16_tiles)
    lacks = "this CPU has no AMX, and its bf16 instructions do no more a second than fp32";
  if (lacks.empty()) return "";
  return "precision.compute: " + word_of(compute) + ": " + lacks +
         "; continuing, right but slower than precision.compute: fp32";
}

}  // namespace

CpuAbilities probe_cpu_abilities() {
  __builtin_cpu_init();
  CpuAbilities cpu;
  cpu.bf16_instructions = __builtin_cpu_supports("avx512bf16");
  unsigned a = 0, b = 0, c = 0, d = 0;
  cpu.bf16_tiles =
      __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & (1U << 22)) != 0;  // AMX-BF16
  cpu.vector_updates = std::strcmp(optimizer_kernels().isa, "generic") != 0;
  return cpu;
}

std::vector<std::string> fallbacks(const LoadedConfig& loaded, const RunPlan& plan,
                                   const CpuAbilities& cpu) {
  const RunConfig& config = *loaded.config;
  std::vector<std::string> out;
  if (plan.device != DeviceKind::kCpu) return out;
  if (config.step.graph == GraphUse::kAuto && is_named(loaded.sources, "step.graph"))
    out.push_back(graph_text(config.log.style != "lockstep"));
  if (const std::string text = precision_text(config.precision.compute, cpu); !text.empty())
    out.push_back(text);
  const std::string implementation = word_of(config.optimizer, "implementation");
  if (is_named(loaded.sources, "optimizer.implementation") && !cpu.vector_updates &&
      (implementation == "auto" || implementation == "fused"))
    out.push_back("optimizer.implementation: " + implementation +
                  ": this CPU has no AVX2; continuing with the fused update in plain code");
  return out;
}

}  // namespace lockstep
