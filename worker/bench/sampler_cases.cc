// Which rows a bench of samplers has, and which of them a device cannot run.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/errors.h"
#include "kernels/attention_backend.h"
#include "worker/bench/sampler_bench.h"

namespace lockstep {
namespace {

// The `sampler` options of `configured` if it is of that kind, else the kind's defaults; with
// `steps`.
Choice with_steps(const Choice& configured, const std::string& kind, int64_t steps) {
  Choice out(sampler_kinds(), kind);
  if (configured.kind == kind) out.options = configured.options->clone();
  if (auto* ddim = dynamic_cast<OptionsOf<DdimOptions>*>(out.options.get()))
    ddim->value.steps = steps;
  else if (auto* dpm = dynamic_cast<OptionsOf<DpmppOptions>*>(out.options.get()))
    dpm->value.steps = steps;
  else if (auto* ddpm = dynamic_cast<OptionsOf<DdpmOptions>*>(out.options.get()))
    ddpm->value.steps = std::nullopt;
  return out;
}

void expect_known(const std::string& what, const std::vector<std::string>& given,
                  const std::vector<std::string>& known) {
  for (const std::string& word : given)
    if (std::find(known.begin(), known.end(), word) == known.end())
      throw ConfigError(fmt::format("unknown {} '{}'", what, word),
                        fmt::format("it is one of {}", fmt::join(known, ", ")));
}

std::vector<std::string> names_of(const KindList& kinds) {
  std::vector<std::string> names;
  for (const Kind& kind : kinds.rows()) names.push_back(kind.name);
  return names;
}

}  // namespace

std::string why_not(const SamplerRow& row, const std::string& device) {
  if (row.graph == "on" && device == "cpu") return "not available: a CPU has no graphs";
  if (row.attention == "flash" && device == "cuda" && row.precision == "fp32")
    return "not available: LibTorch's flash attention on GPUs takes bf16 and fp16 alone";
  const std::string attention = why_no_attention(row.attention, device);
  return attention.empty() ? "" : "not available: " + attention;
}

std::vector<SamplerCase> sampler_cases(const SamplerBenchOptions& options, const Choice& configured,
                                       const DiffusionSchedule& schedule) {
  expect_known("sampler", options.samplers, names_of(sampler_kinds()));
  expect_known("precision", options.precisions, {"fp32", "bf16", "fp16"});
  expect_known("graph", options.graphs, {"off", "on"});
  expect_known("attention", options.attentions, attention_backends());
  std::vector<SamplerCase> cases;
  for (const std::string& kind : options.samplers) {
    std::vector<int64_t> all_steps = options.steps;
    if (kind == "ddpm") all_steps = {schedule.timesteps};
    for (const int64_t steps : all_steps) {
      const Choice sampler = with_steps(configured, kind, steps);
      sampler_kinds().make(sampler,
                           schedule);  // refuses steps that do not fit, before anything is measured
      for (const std::string& precision : options.precisions)
        for (const std::string& graph : options.graphs)
          for (const std::string& attention : options.attentions) {
            SamplerRow row;
            row.sampler = kind;
            row.steps = steps;
            row.precision = precision;
            row.graph = graph;
            row.attention = attention;
            cases.push_back({sampler, std::move(row)});
          }
    }
  }
  return cases;
}

}  // namespace lockstep
