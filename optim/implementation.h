// Which code an optimizer's update runs (`optimizer.implementation`).
//
//     fused      our one-pass kernel over the arena (kernels.h)
//     foreach    LibTorch's operations on lists of tensors
//     reference  plain C++, one line per operation of PyTorch's single-tensor path; for checking
//
// `fused` and `reference` give equal bits. `auto` is the first of fused, foreach, reference that
// can run; on a CPU that is a fixed rule (design.md 3, rule 15), never a measurement. On a GPU it
// is measured (measure_update.h), once in the life of a run.
#pragma once

#include <string>

#include "ddp/arena.h"

namespace lockstep {

enum class Implementation { kFused, kForeach, kReference };
const char* implementation_name(Implementation implementation);

struct ImplementationChoice {
  Implementation implementation = Implementation::kFused;
  std::string text;  // one line for the log: what was chosen and why
  std::string requested = "auto";
};

// Decides for optimizer `kind`. Throws ConfigError for an unknown request.
ImplementationChoice choose_implementation(const std::string& requested, const std::string& kind,
                                           const ArenaLayout& layout);

// The same where the weights lie on a device, for device_update.h, without a measurement.
// `has_kernel`: the kind has a kernel there. Throws ConfigError for `reference`, which is for
// checking on CPUs, and for `fused` without a kernel.
ImplementationChoice choose_on_device(const std::string& requested, const std::string& kind,
                                      bool has_kernel);

}  // namespace lockstep
