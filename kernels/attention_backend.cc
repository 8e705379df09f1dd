#include "kernels/attention_backend.h"

#include <algorithm>

#include <ATen/Context.h>

#include "core/errors.h"

namespace lockstep {

const std::vector<std::string>& attention_backends() {
  static const std::vector<std::string> names{"auto", "math", "flash", "efficient"};
  return names;
}

std::string why_no_attention(const std::string& backend, const std::string& device) {
  if (backend == "efficient" && device == "cpu")
    return "LibTorch has no memory-efficient attention for CPUs";
  return "";
}

AttentionGuard::AttentionGuard(const std::string& backend) : old_(current()) {
  const std::vector<std::string>& names = attention_backends();
  if (std::find(names.begin(), names.end(), backend) == names.end())
    throw ConfigError("unknown attention '" + backend + "'",
                      "it is one of auto, math, flash, efficient");
  if (backend != "auto")
    set({backend == "flash", backend == "efficient", backend == "math", false});
}

AttentionGuard::~AttentionGuard() { set(old_); }

AttentionGuard::Switches AttentionGuard::current() {
  const at::Context& context = at::globalContext();
  return {context.userEnabledFlashSDP(), context.userEnabledMemEfficientSDP(),
          context.userEnabledMathSDP(), context.userEnabledCuDNNSDP()};
}

void AttentionGuard::set(const Switches& switches) {
  at::Context& context = at::globalContext();
  context.setSDPUseFlash(switches.flash);
  context.setSDPUseMemEfficient(switches.efficient);
  context.setSDPUseMath(switches.math);
  context.setSDPUseCuDNN(switches.cudnn);
}

}  // namespace lockstep
