// sum_blocks and finish_norm of update_kernels.h. Compiled without contraction.
//
// A block of 65,536 elements is eight long sums in double, one for each lane, in a fixed order. All
// threads load, scale and square (a float's square is exact in double); eight of them add. The
// chain of 8,192 additions takes as long as the memory of the blocks that share a multiprocessor.
#include "optim/kernels/update_kernels.h"

#include "tensor/device_cuda.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256, kLanes = 8;
constexpr int64_t kBlockElements = 65'536;
constexpr int kEach = 8, kTile = kThreads * kEach;  // elements of a thread and of a block at once
constexpr int kFinishThreads = 1024;

template <class T>
__device__ void load_tile(const T* from, int64_t count, int64_t begin, float (&values)[kEach]) {
  const int64_t at = begin + int64_t{threadIdx.x} * kEach;
  constexpr int kPack = kPackOf<T> < kEach ? kPackOf<T> : kEach;
  if (at + kEach <= count && reinterpret_cast<uintptr_t>(from) % 16 == 0) {
#pragma unroll
    for (int i = 0; i < kEach; i += kPack) {
      float pack[kPack];
      load_floats<kPack>(from + at + i, pack);
#pragma unroll
      for (int k = 0; k < kPack; ++k) values[i + k] = pack[k];
    }
  } else {
#pragma unroll
    for (int i = 0; i < kEach; ++i) values[i] = at + i < count ? to_float(from[at + i]) : 0.0f;
  }
}

__device__ float multiplier_of(const UpdateRule& rule, const UpdateTotals* totals,
                               float loss_scale) {
  const double scale = rule.scales_loss ? static_cast<double>(loss_scale) : 1.0;
  return totals->count > 0 ? static_cast<float>(rule.backward_constant / (totals->count * scale))
                           : 0.0f;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_blocks_kernel(const T* gradients, int64_t size, int64_t ranks, int64_t rank,
                      UpdateRule rule, const UpdateTotals* totals, UpdateControl* control,
                      double* sums) {
  // Squares by lane; two more a row, so that eight readers meet eight banks.
  __shared__ double squares[kLanes][kTile / kLanes + 2];
  const int64_t block = int64_t{blockIdx.x} * ranks + rank, begin = block * kBlockElements;
  const int64_t left_over = size > begin ? size - begin : 0;  // a rank with no block of its own
  const int64_t count = left_over < kBlockElements ? left_over : kBlockElements;
  const float multiplier = multiplier_of(rule, totals, control->loss_scale);
  float values[kEach] = {};
  if (count > 0) load_tile(gradients + begin, count, 0, values);
  double sum = 0;
  for (int64_t tile = 0; tile < count; tile += kTile) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const double d = static_cast<double>(values[i] * multiplier);
      squares[i][threadIdx.x] = d * d;
    }
    __syncthreads();
    if (tile + kTile < count)
      load_tile(gradients + begin, count, tile + kTile, values);  // arrives while eight threads add
    if (threadIdx.x < kLanes) {
      const int64_t left = (count - tile - threadIdx.x + kLanes - 1) / kLanes;
      const int n = static_cast<int>(left < kTile / kLanes ? left : kTile / kLanes);
#pragma unroll 16
      for (int i = 0; i < n; ++i) sum += squares[threadIdx.x][i];
    }
    __syncthreads();
  }
  if (threadIdx.x < kLanes) squares[threadIdx.x][0] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0)
    control->multiplier = multiplier;  // for the update; nobody reads it in this launch
  if (count == 0) return;
  sums[block] = ((squares[0][0] + squares[1][0]) + (squares[2][0] + squares[3][0])) +
                ((squares[4][0] + squares[5][0]) + (squares[6][0] + squares[7][0]));
}

// LibTorch's _amp_update_scale_ with a floor: loss_scale.cc.
__device__ void update_loss_scale(const UpdateRule& rule, bool finite, UpdateControl* control) {
  if (!rule.scales_loss) return;
  if (!finite) {
    control->loss_scale = fmaxf(control->loss_scale / 2, rule.smallest_scale);
    control->good_steps = 0;
  } else if (control->good_steps + 1 < rule.growth_steps) {
    control->good_steps += 1;
  } else {
    control->loss_scale = fminf(control->loss_scale * 2, 0x1p126f);
    control->good_steps = 0;
  }
}

__device__ void decide(double sum, const UpdateRule& rule, const UpdateTotals* totals,
                       const UpdateRow* rows, UpdateControl* control, UpdateReport* report) {
  const double norm = sqrt(sum);
  const bool number = norm - norm == 0, finite = number && totals->loss - totals->loss == 0;
  control->norm = norm;
  const float coefficient = rule.clip_norm / (static_cast<float>(norm) + 1e-6f);
  control->clip = number && rule.clip_norm > 0 && coefficient < 1.0f ? coefficient : 1.0f;
  control->row = control->updates % rule.rows;
  const float scale = control->loss_scale;
  if (rows[control->row].update != control->updates) {  // the host fell behind: nothing may change
    control->outcome = StepOutcome::kNoRow;
  } else {
    control->outcome = finite ? StepOutcome::kUpdated : StepOutcome::kSkipped;
    control->skipped_in_a_row = finite ? 0 : control->skipped_in_a_row + 1;
    update_loss_scale(rule, finite, control);
    if (finite) control->updates += 1;
  }
  if (report == nullptr) return;
  *report = {norm,
             control->outcome == StepOutcome::kUpdated ? 1.0 : 0.0,
             scale,
             control->loss_scale,
             static_cast<double>(control->good_steps),
             static_cast<double>(control->updates),
             static_cast<double>(control->skipped_in_a_row)};
}

// Tree over the blocks: neighbours, pairs of pairs, …; an odd last one waits. That is the split at
// the largest power of two below the length.
__global__ void __launch_bounds__(kFinishThreads)
    finish_norm_kernel(double* sums, int64_t num_blocks, UpdateRule rule,
                       const UpdateTotals* totals, const UpdateRow* rows, UpdateControl* control,
                       UpdateReport* report) {
  for (int64_t step = 1; step < num_blocks; step *= 2) {
    for (int64_t i = int64_t{threadIdx.x} * 2 * step; i + step < num_blocks;
         i += int64_t{kFinishThreads} * 2 * step)
      sums[i] += sums[i + step];
    __syncthreads();
  }
  if (threadIdx.x == 0) decide(num_blocks > 0 ? sums[0] : 0.0, rule, totals, rows, control, report);
}

}  // namespace

void sum_blocks(const GradientView& gradients, int ranks, int rank, const UpdateRule& rule,
                const UpdateTotals* totals, UpdateControl* control, double* sums, void* stream) {
  const int64_t blocks = (gradients.size + kBlockElements - 1) / kBlockElements;
  // At least one block of threads, which then has nothing to add but sets the multiplier.
  const int64_t own = blocks > rank ? (blocks - rank + ranks - 1) / ranks : 1;
  with_type(gradients.type, [&]<class T>() {
    launch(sum_blocks_kernel<T>, static_cast<unsigned>(own), kThreads, stream,
           static_cast<const T*>(gradients.values), gradients.size, ranks, rank, rule, totals,
           control, sums);
  });
}

void finish_norm(double* sums, int64_t num_blocks, const UpdateRule& rule,
                 const UpdateTotals* totals, const UpdateRow* rows, UpdateControl* control,
                 UpdateReport* report, void* stream) {
  launch(finish_norm_kernel, 1, kFinishThreads, stream, sums, num_blocks, rule, totals, rows,
         control, report);
}

}  // namespace lockstep::cuda
