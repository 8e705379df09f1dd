#include "optim/implementation.h"

#include <fmt/format.h>

#include "core/errors.h"
#include "optim/kernels/kernels.h"

namespace lockstep {

const char* implementation_name(Implementation implementation) {
  switch (implementation) {
    case Implementation::kFused:
      return "fused";
    case Implementation::kForeach:
      return "foreach";
    case Implementation::kReference:
      return "reference";
  }
  return "";
}

ImplementationChoice choose_implementation(const std::string& requested, const std::string& kind,
                                           const ArenaLayout& layout) {
  Implementation chosen = Implementation::kFused;
  if (requested == "foreach")
    chosen = Implementation::kForeach;
  else if (requested == "reference")
    chosen = Implementation::kReference;
  else if (requested != "fused" && requested != "auto")
    throw ConfigError(fmt::format("unknown optimizer.implementation '{}'", requested),
                      "auto, fused, foreach or reference");
  const std::string reason =
      requested == "auto" ? "auto: float32 weights in one arena on the CPU can use the fused kernel"
                          : "asked for";
  const std::string detail = chosen == Implementation::kFused
                                 ? fmt::format(" ({})", optimizer_kernels().isa)
                                 : std::string();
  return {chosen,
          fmt::format("optimizer {}: {}{}, {} tensors ({})", kind, implementation_name(chosen),
                      detail, layout.entries.size(), reason),
          requested};
}

ImplementationChoice choose_on_device(const std::string& requested, const std::string& kind,
                                      bool has_kernel) {
  if (requested == "reference")
    throw ConfigError("optimizer.implementation is reference, which computes on CPUs alone",
                      "use auto, fused or foreach on a GPU");
  if (requested == "fused" && !has_kernel)
    throw ConfigError(fmt::format("optimizer {} has no fused kernel on a device", kind),
                      "use optimizer.implementation=auto");
  const bool fused = requested == "fused" || (requested == "auto" && has_kernel);
  const std::string reason =
      requested != "auto" ? "asked for"
      : fused ? "auto: unscaling, clipping, update and EMA in one launch, fit for graphs"
              : "auto: this kind has no fused kernel on a device";
  return {
      fused ? Implementation::kFused : Implementation::kForeach,
      fmt::format("optimizer {} on the device: {} ({})", kind, fused ? "fused" : "foreach", reason),
      requested};
}

}  // namespace lockstep
