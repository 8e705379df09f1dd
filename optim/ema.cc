#include "optim/ema.h"

#include <algorithm>
#include <cmath>

#include "optim/kernels/kernels.h"

namespace lockstep {

namespace {
constexpr int64_t kCopyUpdates = 100;  // ema-pytorch's update_after_step
}

std::optional<EmaMove> ema_move(const EmaOptions& options, int64_t updates) {
  if (!options.enabled() || updates % options.every_steps != 0) return std::nullopt;
  if (options.warmup && updates <= kCopyUpdates) return EmaMove{true, 1.0f};
  double decay = options.decay;
  if (options.warmup)
    decay = std::min(decay,
                     1 - std::pow(1.0 + static_cast<double>(updates - kCopyUpdates), -2.0 / 3.0));
  return EmaMove{false, static_cast<float>(1 - decay)};
}

void move_average(Arena& ema, const Arena& weights, const EmaMove& move) {
  optimizer_kernels().ema(weights.data(), weights.layout().size,
                          {ema.data(), move.copy, move.weight});
}

}  // namespace lockstep
