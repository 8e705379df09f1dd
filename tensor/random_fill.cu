// See random_fill.h. Compiled without contraction, like core/philox.cc. A thread makes the four
// numbers of a counter.
#include "tensor/random_fill.h"

#include "tensor/philox_cuda.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256;
constexpr double kPi = 3.141592653589793238462643383279502884;

template <bool kNormal>
__device__ void numbers(const PhiloxFour& four, float (&out)[4]) {
  if constexpr (!kNormal) {
    for (int i = 0; i < 4; ++i) out[i] = philox_unit(four.word[i]);
  } else {
    for (int i = 0; i < 4; i += 2) {  // Box and Muller in double, as core/philox.cc
      const double radius = sqrt(-2.0 * log(1.0 - static_cast<double>(philox_unit(four.word[i]))));
      const double angle = 2.0 * kPi * static_cast<double>(philox_unit(four.word[i + 1]));
      out[i] = static_cast<float>(radius * cos(angle));
      out[i + 1] = static_cast<float>(radius * sin(angle));
    }
  }
}

template <bool kNormal, bool kPacks>
__global__ void __launch_bounds__(kThreads)
    fill_kernel(RandomRows shape, const int64_t* ids, const int64_t* step, float* out) {
  const int64_t fours = (shape.elements + 3) / 4, total = shape.rows * fours,
                stride = int64_t{gridDim.x} * kThreads;
  const uint32_t now = static_cast<uint32_t>(*step);
  for (int64_t n = int64_t{blockIdx.x} * kThreads + threadIdx.x; n < total; n += stride) {
    const int64_t row = n / fours, block = n - row * fours;
    const uint64_t id = static_cast<uint64_t>(ids[row]);
    const PhiloxFour four = philox({{static_cast<uint32_t>(block), now, static_cast<uint32_t>(id),
                                     static_cast<uint32_t>(id >> 32)}},
                                   shape.key[0], shape.key[1]);
    float values[4];
    numbers<kNormal>(four, values);
    float* to = out + row * shape.elements + block * 4;
    if constexpr (kPacks)
      store_floats<4>(values, to);
    else
      for (int64_t i = 0; i < 4 && block * 4 + i < shape.elements; ++i) to[i] = values[i];
  }
}

template <bool kNormal>
void fill(const RandomRows& shape, const int64_t* ids, const int64_t* step, float* out,
          void* stream) {
  if (shape.elements >= int64_t{1} << 34)
    throw InternalError("a random tensor's row has 2^34 elements or more");
  const unsigned blocks = blocks_for(shape.rows * ((shape.elements + 3) / 4), kThreads, 132 * 32);
  const auto kernel = packs_fit<float, 4>(shape.elements, out) ? fill_kernel<kNormal, true>
                                                               : fill_kernel<kNormal, false>;
  launch(kernel, blocks, kThreads, stream, shape, ids, step, out);
}

}  // namespace

void fill_uniform(const RandomRows& shape, const int64_t* ids, const int64_t* step, float* out,
                  void* stream) {
  fill<false>(shape, ids, step, out, stream);
}

void fill_normal(const RandomRows& shape, const int64_t* ids, const int64_t* step, float* out,
                 void* stream) {
  fill<true>(shape, ids, step, out, stream);
}

}  // namespace lockstep::cuda
