// Optimizers: the interface and the table of kinds (adamw, adam, sgd).
//
// An optimizer works on arenas: one call updates all weights, folding in the scaling and clipping
// of the gradients and the move of the EMA, so that each number is read and written once.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/kinds.h"
#include "ddp/arena.h"
#include "optim/ema.h"
#include "optim/implementation.h"
#include "optim/kernels.h"
#include "optim/parallel.h"
#include "optim/parameter_groups.h"

namespace lockstep {

// What one update uses beside weights and gradients.
struct UpdateTerms {
  double lr = 0;             // scheduled
  GradientFactors gradient;  // multiplier (C/Σcount and 1/loss scale) and clip coefficient
  Arena* ema = nullptr;      // moved after the update if `ema_move` is set
  std::optional<EmaMove> ema_move;
  ParallelFor parallel = in_order;
};

// One per rank; all ranks make the same calls with the same numbers. Training thread.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // One update. A step whose gradients are not finite makes none: updates() stays. The gradients
  // are not changed.
  virtual void step(Arena& weights, const Arena& gradients, const UpdateTerms& terms) = 0;

  // Updates so far: Adam's t.
  int64_t updates() const { return updates_; }
  Implementation implementation() const { return implementation_; }
  double lr() const { return lr_; }  // as configured
  bool frozen(int64_t parameter) const { return settings_.at(parameter).frozen; }

  // "exp_avg.NAME", "exp_avg_sq.NAME", "momentum.NAME" as views, and "updates" (i64 scalar).
  NamedTensors state() const;
  // Strict; throws CheckpointError naming `from`.
  void load(const NamedTensors& state, const std::string& from);

 protected:
  Optimizer(const ArenaLayout& layout, double lr, double weight_decay, const std::vector<GroupOptions>& groups,
            Implementation implementation);
  // A state arena whose tensors are called PREFIX.NAME; lives as long as the optimizer.
  Arena& add_state(const std::string& prefix);

  // Calls fn(stretch, begin, end) for pieces of the stretches, in parallel, at block borders.
  void for_pieces(const ParallelFor& parallel,
                  const std::function<void(const Stretch&, int64_t begin, int64_t end)>& fn) const;
  static EmaFactors ema_factors(const UpdateTerms& terms, int64_t begin);
  // Moves the EMA of [begin, end) without an update: frozen parameters, and implementations that
  // do not fold it in.
  static void move_ema(const Arena& weights, const UpdateTerms& terms, int64_t begin, int64_t end);

  // For `foreach`, whose kernels take plain gradients: scaled and clipped ones, in a buffer that
  // is kept; the given arena itself if there is nothing to do.
  const Arena& plain_gradients(const Arena& gradients, const GradientFactors& factors);
  // The tensors of a stretch.
  static at::ArrayRef<at::Tensor> part(const Arena& arena, const Stretch& stretch);

  const ArenaLayout& layout_;
  const double lr_;
  const std::vector<ParameterSettings> settings_;
  const std::vector<Stretch> stretches_;
  const Implementation implementation_;
  int64_t updates_ = 0;

 private:
  std::vector<std::pair<std::string, std::unique_ptr<Arena>>> states_;
  std::unique_ptr<Arena> scaled_;
};

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0;
  std::string implementation = "auto";
  std::vector<GroupOptions> groups;
  void fields(FieldVisitor& visit);
};

struct AdamWOptions : AdamOptions {
  AdamWOptions() { weight_decay = 0.01; }
};

struct SgdOptions {
  double lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
  std::string implementation = "auto";
  std::vector<GroupOptions> groups;
  void fields(FieldVisitor& visit);
};

// Rows: adamw, adam, sgd. The layout outlives what is made.
Table<Optimizer, const ArenaLayout&> optimizers();

}  // namespace lockstep
