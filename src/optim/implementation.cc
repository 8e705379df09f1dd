#include "optim/implementation.h"

#include <fmt/format.h>

#include "core/errors.h"
#include "optim/kernels.h"

namespace lockstep {

const char* implementation_name(Implementation implementation) {
  switch (implementation) {
    case Implementation::kFused: return "fused";
    case Implementation::kForeach: return "foreach";
    case Implementation::kReference: return "reference";
  }
  return "";
}

ImplementationChoice choose_implementation(const std::string& requested, const std::string& kind,
                                           const ArenaLayout& layout) {
  Implementation chosen = Implementation::kFused;
  if (requested == "foreach") chosen = Implementation::kForeach;
  else if (requested == "reference") chosen = Implementation::kReference;
  else if (requested != "fused" && requested != "auto")
    throw ConfigError(fmt::format("unknown optimizer.implementation '{}'", requested),
                      "auto, fused, foreach or reference");
  const std::string reason = requested == "auto"
                                 ? "auto: float32 weights in one arena on the CPU can use the fused kernel"
                                 : "asked for";
  const std::string detail =
      chosen == Implementation::kFused ? fmt::format(" ({})", optimizer_kernels().isa) : std::string();
  return {chosen, fmt::format("optimizer {}: {}{}, {} tensors ({})", kind, implementation_name(chosen), detail,
                              layout.entries.size(), reason)};
}

}  // namespace lockstep
