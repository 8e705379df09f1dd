// The whole update of a step as three launches without a host in between, on the GPU and on the
// CPU:
//
//     sum_blocks     Σ(g·multiplier)² of each block of 65,536 elements (design.md 3, rule 7)
//     finish_norm    norm by Tree, clip coefficient, skip decision, next loss scale, update count
//     adam_update    one launch over the arena: unscale, clip, moments, weights, EMA and the
//     (sgd_update)   low-precision copy
//
// Everything that changes from step to step lies in device memory, so a graph replays fresh
// numbers. The host writes the factors of coming updates (learning rate, bias corrections, EMA)
// ahead of time into rings of rows; update u reads row u mod rows. A skipped step reads its row
// again, so the host need not know whether it was skipped.
//
// The same operations in the same order as kernels.h and loss_scale.h, without contraction: the
// bits of the norm, the weights and the EMA are those of the CPU (subnormal numbers aside, where
// the CPU flushes them).
//
// Memory a parameter, float32: norm 4 bytes; Adam 28 (gradient, weight, two moments; 16 read, 12
// written), with EMA 36, with a low-precision copy 2 more; SGD 20 with momentum, 12 without.
#pragma once

#include <cstdint>

#include "core/float_type.h"
#include "optim/kernels/kernels.h"

namespace lockstep {

// A stretch of at most kPieceElements elements with the same settings; begins at a multiple of 16
// elements.
struct UpdatePiece {
  int64_t begin = 0;        // in the arena
  int64_t state_begin = 0;  // in the rank's own share of moments
  int32_t count = 0;
  int32_t group = 0;  // row entry of the factors; kFrozenGroup: the EMA moves, nothing else
};
inline constexpr int32_t kFrozenGroup = -1;
inline constexpr int64_t kPieceElements = 4096;

// What holds for update `update` as a whole. `ema`: 0 rests, 1 moves by ema_weight, 2 copies.
struct UpdateRow {
  int64_t update = -1;  // updates before it; finish_norm refuses a row of another update
  int32_t ema = 0;
  float ema_weight = 0;
};

enum class StepOutcome : int32_t { kUpdated = 0, kSkipped = 1, kNoRow = 2 };

// One per rank, in device memory. The first three go into checkpoints.
struct UpdateControl {
  int64_t updates = 0;     // so far; after finish_norm this step's is counted
  float loss_scale = 1;    // of the step that runs; after finish_norm the next one's
  int32_t good_steps = 0;  // updates in a row since the scale last changed
  int32_t skipped_in_a_row = 0;
  // Of this step.
  StepOutcome outcome = StepOutcome::kUpdated;
  float multiplier = 1, clip = 1;
  double norm = 0;  // before clipping
  int64_t row = 0;
};

// Constants of a run.
struct UpdateRule {
  double backward_constant = 1;  // C of design.md 3, rule 6
  float clip_norm = 0;           // 0: none
  bool scales_loss = false;
  int64_t growth_steps = 2000;
  float smallest_scale = 1;
  int64_t rows = 1;  // of the rings
};

// Sums over slots and ranks of this step; gradients are divided by the count. A loss that is not
// finite skips the step.
struct UpdateTotals {
  double loss = 0, count = 0;
};

// What finish_norm tells the host, f64 each.
struct UpdateReport {
  double norm, updated, loss_scale, next_loss_scale, good_steps, updates, skipped_in_a_row;
};

struct GradientView {
  const void* values = nullptr;  // whole arena
  int64_t size = 0;
  FloatType type = FloatType::kFloat32;
};

// All in the arena's order but the moments, which are the rank's share. null: no EMA, no copy.
struct UpdateArrays {
  float* weights = nullptr;
  GradientView gradients;
  float *state0 = nullptr, *state1 = nullptr;  // exp_avg and exp_avg_sq; momentum (null: none)
  float* ema = nullptr;
  void* low = nullptr;  // bfloat16 or float16 copy of the weights
  FloatType low_type = FloatType::kBfloat16;
};

// Pieces, rings: `rows` UpdateRows; `factors` [rows][groups].
struct UpdatePlan {
  const UpdatePiece* pieces = nullptr;
  int64_t num_pieces = 0;
  const UpdateRow* rows = nullptr;
  int32_t groups = 1;
};

// sums [num_blocks]: those of blocks b with b mod ranks = rank are written. Sets
// control->multiplier to C / (count · loss_scale), computed in double and rounded once. finish_norm
// overwrites sums; report may be null. move_average is the EMA alone: ema = copy ? w : ema +
// weight·(w − ema).
namespace cuda {
void sum_blocks(const GradientView& gradients, int ranks, int rank, const UpdateRule& rule,
                const UpdateTotals* totals, UpdateControl* control, double* sums, void* stream);
void finish_norm(double* sums, int64_t num_blocks, const UpdateRule& rule,
                 const UpdateTotals* totals, const UpdateRow* rows, UpdateControl* control,
                 UpdateReport* report, void* stream);
void adam_update(const UpdateArrays& arrays, const UpdatePlan& plan, const AdamFactors* factors,
                 const UpdateControl* control, void* stream);
void sgd_update(const UpdateArrays& arrays, const UpdatePlan& plan, const SgdFactors* factors,
                const UpdateControl* control, void* stream);
void move_average(float* ema, const float* weights, int64_t size, bool copy, float weight,
                  void* stream);
}  // namespace cuda

namespace cpu {
void sum_blocks(const GradientView& gradients, int ranks, int rank, const UpdateRule& rule,
                const UpdateTotals* totals, UpdateControl* control, double* sums, void* stream);
void finish_norm(double* sums, int64_t num_blocks, const UpdateRule& rule,
                 const UpdateTotals* totals, const UpdateRow* rows, UpdateControl* control,
                 UpdateReport* report, void* stream);
void adam_update(const UpdateArrays& arrays, const UpdatePlan& plan, const AdamFactors* factors,
                 const UpdateControl* control, void* stream);
void sgd_update(const UpdateArrays& arrays, const UpdatePlan& plan, const SgdFactors* factors,
                const UpdateControl* control, void* stream);
void move_average(float* ema, const float* weights, int64_t size, bool copy, float weight,
                  void* stream);
}  // namespace cpu

}  // namespace lockstep
