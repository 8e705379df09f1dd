// adam_update, sgd_update and move_average of update_kernels.h. Compiled without contraction: the
// bits of kernels_impl.h.
//
// One block a piece; each thread takes four elements at a time, so all arrays travel in loads of 16
// bytes.
#include "optim/kernels/update_kernels.h"

#include "tensor/device_cuda.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256, kEach = 4;

__device__ float moved(const UpdateRow& row, float ema, float weight) {
  return row.ema == 2 ? weight : ema + row.ema_weight * (weight - ema);
}

// float32 arrays of one thread: kEach elements, fewer at the end of a piece.
__device__ void load(const float* from, int count, float (&to)[kEach]) {
  if (count == kEach) return load_floats<kEach>(from, to);
  for (int i = 0; i < kEach; ++i) to[i] = i < count ? from[i] : 0.0f;
}
__device__ void store(const float (&from)[kEach], int count, float* to) {
  if (count == kEach) return store_floats<kEach>(from, to);
  for (int i = 0; i < count; ++i) to[i] = from[i];
}
template <class T>
__device__ void load_gradients(const T* from, int count, const UpdateControl& control,
                               float (&to)[kEach]) {
  if (count == kEach)
    load_floats<kEach>(from, to);
  else
    for (int i = 0; i < kEach; ++i) to[i] = i < count ? to_float(from[i]) : 0.0f;
#pragma unroll
  for (int i = 0; i < kEach; ++i) to[i] = (to[i] * control.multiplier) * control.clip;
}
template <class T>
__device__ void store_low(const float (&from)[kEach], int count, void* low, int64_t at) {
  T* to = static_cast<T*>(low) + at;
  if (count == kEach) return store_floats<kEach>(from, to);
  for (int i = 0; i < count; ++i) to[i] = from_float<T>(from[i]);
}

struct Adam {
  using Factors = AdamFactors;
  static __device__ void step(const Factors& f, const UpdateArrays& a, int64_t state, int count,
                              const float (&g)[kEach], float (&w)[kEach]) {
    float m[kEach], v[kEach];
    load(a.state0 + state, count, m);
    load(a.state1 + state, count, v);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      float weight = w[i] * f.shrink;
      const float gradient = g[i] + f.decay * weight;
      m[i] = m[i] + f.beta1_rest * (gradient - m[i]);
      v[i] = v[i] * f.beta2 + (f.beta2_rest * gradient) * gradient;
      const float denominator = sqrtf(v[i]) / f.bias2_root + f.eps;
      w[i] = weight - (f.step_size * m[i]) / denominator;
    }
    store(m, count, a.state0 + state);
    store(v, count, a.state1 + state);
  }
};

struct Sgd {
  using Factors = SgdFactors;
  static __device__ void step(const Factors& f, const UpdateArrays& a, int64_t state, int count,
                              const float (&g)[kEach], float (&w)[kEach]) {
    float b[kEach], direction[kEach];
    if (a.state0 != nullptr) load(a.state0 + state, count, b);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      direction[i] = g[i] + f.decay * w[i];
      if (a.state0 == nullptr) continue;
      const float gradient = direction[i], buffer = b[i] * f.momentum + f.dampening_rest * gradient;
      b[i] = f.first ? gradient : buffer;
      direction[i] = f.nesterov ? gradient + f.momentum * b[i] : b[i];
    }
    if (a.state0 != nullptr) store(b, count, a.state0 + state);
#pragma unroll
    for (int i = 0; i < kEach; ++i) w[i] = w[i] - f.lr * direction[i];
  }
};

// `plain`: addresses allow packs (pieces begin at multiples of 16 elements).
template <class Rule, class T>
__global__ void __launch_bounds__(kThreads)
    update_kernel(UpdateArrays a, const T* gradients, UpdatePlan plan,
                  const typename Rule::Factors* factors, const UpdateControl* shared) {
  const UpdateControl control = *shared;
  if (control.outcome != StepOutcome::kUpdated) return;
  const UpdatePiece piece = plan.pieces[blockIdx.x];
  const UpdateRow row = plan.rows[control.row];
  const bool frozen = piece.group == kFrozenGroup, moves = a.ema != nullptr && row.ema != 0;
  if (frozen && !moves) return;
  typename Rule::Factors f{};
  if (!frozen) f = factors[control.row * plan.groups + piece.group];
  for (int i = threadIdx.x * kEach; i < piece.count; i += kThreads * kEach) {
    const int count = piece.count - i < kEach ? piece.count - i : kEach;
    const int64_t at = piece.begin + i;
    float w[kEach];
    load(a.weights + at, count, w);
    if (!frozen) {
      float g[kEach];
      load_gradients(gradients + at, count, control, g);
      Rule::step(f, a, piece.state_begin + i, count, g, w);
      store(w, count, a.weights + at);
      if (a.low != nullptr) {
        if (a.low_type == FloatType::kBfloat16)
          store_low<__nv_bfloat16>(w, count, a.low, at);
        else
          store_low<__half>(w, count, a.low, at);
      }
    }
    if (!moves) continue;
    float e[kEach];
    load(a.ema + at, count, e);
#pragma unroll
    for (int k = 0; k < kEach; ++k) e[k] = moved(row, e[k], w[k]);
    store(e, count, a.ema + at);
  }
}

__global__ void __launch_bounds__(kThreads)
    average_kernel(float* ema, const float* weights, int64_t size, UpdateRow row) {
  const int64_t stride = int64_t{gridDim.x} * kThreads * kEach;
  for (int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kEach; i < size; i += stride) {
    const int count = size - i < kEach ? static_cast<int>(size - i) : kEach;
    float e[kEach], w[kEach];
    load(ema + i, count, e);
    load(weights + i, count, w);
#pragma unroll
    for (int k = 0; k < kEach; ++k) e[k] = moved(row, e[k], w[k]);
    store(e, count, ema + i);
  }
}

void check_alignment(std::initializer_list<const void*> pointers) {
  for (const void* pointer : pointers)
    if (reinterpret_cast<uintptr_t>(pointer) % 16 != 0)
      throw InternalError("an arena on the GPU does not begin at 16 bytes");
}

template <class Rule>
void update(const UpdateArrays& a, const UpdatePlan& plan, const typename Rule::Factors* factors,
            const UpdateControl* control, void* stream) {
  check_alignment({a.weights, a.gradients.values, a.state0, a.state1, a.ema, a.low});
  with_type(a.gradients.type, [&]<class T>() {
    launch(update_kernel<Rule, T>, static_cast<unsigned>(plan.num_pieces), kThreads, stream, a,
           static_cast<const T*>(a.gradients.values), plan, factors, control);
  });
}

}  // namespace

void adam_update(const UpdateArrays& arrays, const UpdatePlan& plan, const AdamFactors* factors,
                 const UpdateControl* control, void* stream) {
  update<Adam>(arrays, plan, factors, control, stream);
}

void sgd_update(const UpdateArrays& arrays, const UpdatePlan& plan, const SgdFactors* factors,
                const UpdateControl* control, void* stream) {
  update<Sgd>(arrays, plan, factors, control, stream);
}

void move_average(float* ema, const float* weights, int64_t size, bool copy, float weight,
                  void* stream) {
  check_alignment({ema, weights});
  const UpdateRow row{0, copy ? 2 : 1, weight};
  launch(average_kernel, blocks_for(size, kThreads * kEach, 132 * 32), kThreads, stream, ema,
         weights, size, row);
}

}  // namespace lockstep::cuda
