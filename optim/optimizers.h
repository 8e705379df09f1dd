// Optimizers: the interface and the table of kinds (adamw, adam, sgd).
//
// An optimizer works on arenas: one call updates all weights, folding in the scaling and clipping
// of the gradients and the move of the EMA, so that each number is read and written once.
//
// It owns the blocks of a ShardLayout: usually all of them; with `ddp.shard_optimizer` a share,
// whose state it alone holds and whose weights it alone updates (design.md 3, rule 8).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/config/kinds.h"
#include "ddp/arena_shard.h"
#include "optim/ema.h"
#include "optim/implementation.h"
#include "optim/kernels/kernels.h"
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

// What one update on a device uses: tensors there, so that nothing waits for the host and the
// update may be recorded in a graph.
struct DeviceTerms {
  at::Tensor lr;       // f32 scalar, scheduled
  at::Tensor updates;  // f32 scalar: updates before this one
  at::Tensor
      found_inf;  // f32 scalar: 1 if the gradients are not finite, else 0. Then nothing changes
};

// Whose kernels a fused update on a device uses (update_kernels.h).
enum class FusedKind { kNone, kAdam, kSgd };

// One per rank; all ranks make the same calls with the same numbers. Training thread.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // One update of the own blocks of `weights` (and of the EMA there). A step whose gradients are
  // not finite makes none: updates() stays. The gradients are not changed; only own blocks are
  // read.
  virtual void step(Arena& weights, const Arena& gradients, const UpdateTerms& terms) = 0;

  // The same where the arenas lie on a device, by LibTorch's operations over the own parts of whole
  // stretches. `gradients` are scaled and clipped already; the EMA is the caller's. Does not count:
  // note_updates(). By default an EnvironmentError: this kind computes on CPUs alone.
  virtual void step_on_device(Arena& weights, const Arena& gradients, const DeviceTerms& terms);
  virtual FusedKind fused_kind() const { return FusedKind::kNone; }
  // The AdamFactors or SgdFactors of update number `update` (from 0) for a stretch, at the
  // scheduled rate `lr`.
  virtual void fused_factors(size_t stretch, double lr, int64_t update, void* out) const {}
  const std::vector<Stretch>& stretches() const { return stretches_; }
  // What the device has counted, once the host knows.
  void note_updates(int64_t updates) { updates_ = updates; }
  // Moves the state to where the weights lie.
  void to(at::Device device);
  // Everything an update changes beside the weights, flat.
  std::vector<at::Tensor> flat_states() const;

  // Which blocks are updated here.
  const ShardLayout& shard() const { return shard_; }
  // Updates so far: Adam's t.
  int64_t updates() const { return updates_; }
  Implementation implementation() const { return choice_.implementation; }
  // "auto", or what the config asks for.
  const std::string& requested() const { return choice_.requested; }
  // Which implementation was chosen and why, for the log.
  const std::string& choice() const { return choice_.text; }
  double lr() const { return lr_; }  // as configured
  bool frozen(int64_t parameter) const { return settings_.at(parameter).frozen; }

  // "exp_avg.NAME", "exp_avg_sq.NAME", "momentum.NAME" as views, and "updates" (i64 scalar). Of a
  // whole optimizer; throws InternalError on a share.
  NamedTensors state() const;
  // Collective. On rank 0 the same as copies, put together from all shares; elsewhere nothing.
  NamedTensors gather_state(Communicator& comm) const;
  // How many numbers the state has per weight: 2 for Adam.
  int64_t num_states() const { return std::ssize(states_); }
  // Takes the own blocks of a whole state. Strict; throws CheckpointError naming `from`.
  void load(const NamedTensors& state, const std::string& from);

 protected:
  Optimizer(const ShardLayout& shard, double lr, double weight_decay,
            const std::vector<GroupOptions>& groups, ImplementationChoice choice);
  // A state whose tensors are called PREFIX.NAME; lives as long as the optimizer.
  ArenaShard& add_state(const std::string& prefix);

  // The own parts of a stretch as flat tensors, as long as they go, for step_on_device: one unless
  // sharded.
  std::vector<at::Tensor> flat_parts(const Arena& arena, const Stretch& stretch) const;
  std::vector<at::Tensor> flat_parts(const ArenaShard& state, const Stretch& stretch) const;
  // Calls fn(stretch, begin, end) for the own pieces of the stretches, in parallel, cut at block
  // borders.
  void for_pieces(const ParallelFor& parallel,
                  const std::function<void(const Stretch&, int64_t begin, int64_t end)>& fn) const;
  static EmaFactors ema_factors(const UpdateTerms& terms, int64_t begin);
  // Moves the EMA of [begin, end) without an update: frozen parameters, and implementations that
  // do not fold it in.
  static void move_ema(const Arena& weights, const UpdateTerms& terms, int64_t begin, int64_t end);
  // The same for all own blocks.
  void move_own_ema(const Arena& weights, const UpdateTerms& terms) const;

  // For `foreach`, whose kernels take plain gradients: scaled and clipped ones, in a buffer that
  // is kept; the given arena itself if there is nothing to do.
  const Arena& plain_gradients(const Arena& gradients, const GradientFactors& factors);
  // The own pieces of a stretch's parameters as flat tensors: whole parameters unless sharded.
  std::vector<at::Tensor> pieces(const Arena& arena, const Stretch& stretch) const;
  std::vector<at::Tensor> pieces(const ArenaShard& state, const Stretch& stretch) const;

  const ShardLayout shard_;
  const double lr_;
  const std::vector<ParameterSettings> settings_;
  const std::vector<Stretch> stretches_;
  const ImplementationChoice choice_;
  int64_t updates_ = 0;

 private:
  void for_own_parameters(const Stretch& stretch,
                          const std::function<void(int64_t begin, int64_t end)>& fn) const;

  std::vector<std::pair<std::string, std::unique_ptr<ArenaShard>>> states_;
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

// Rows: adamw, adam, sgd. The arena's layout outlives what is made; an ArenaLayout alone means a
// whole optimizer.
Table<Optimizer, const ShardLayout&> optimizers();

}  // namespace lockstep
