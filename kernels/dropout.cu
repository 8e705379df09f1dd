// See dropout_kernel.h. A thread makes the four numbers of a counter. In channels-last order
// neighbouring threads take neighbouring channels of the same four positions.
#include "kernels/dropout_kernel.h"

#include <algorithm>

#include "tensor/philox_cuda.h"

namespace lockstep::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(DropoutShape s, const int64_t* numbers, const T* x, T* y) {
  const int64_t elements = s.channels * s.positions;
  const uint64_t key = static_cast<uint64_t>(numbers[0]),
                 id = static_cast<uint64_t>(numbers[2 + blockIdx.y]);
  const uint32_t step = static_cast<uint32_t>(numbers[1]),
                 first = static_cast<uint32_t>(s.first / 4);
  const float kept = to_float(from_float<T>(s.kept));
  const uint32_t blocks = static_cast<uint32_t>((elements + 3) / 4),
                 channels = static_cast<uint32_t>(s.channels);
  const uint32_t fours = static_cast<uint32_t>(s.positions / 4);  // of a channel
  const bool by_channel = s.channels_last && s.positions % 4 == 0;
  const T* from = x + blockIdx.y * elements;
  T* to = y + blockIdx.y * elements;
  for (uint64_t n = uint64_t{blockIdx.x} * kThreads + threadIdx.x; n < blocks;
       n += uint64_t{gridDim.x} * kThreads) {
    const uint32_t turn = static_cast<uint32_t>(n), channel = turn % channels,
                   four = turn / channels;
    const uint32_t block = by_channel ? channel * fours + four : turn;
    const PhiloxFour words =
        philox({{first + block, step, static_cast<uint32_t>(id), static_cast<uint32_t>(id >> 32)}},
               static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32));
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int64_t element = int64_t{block} * 4 + i;
      if (element >= elements) break;
      int64_t at = element;
      if (by_channel)
        at = (int64_t{four} * 4 + i) * s.channels + channel;
      else if (s.channels_last)
        at = element % s.positions * s.channels + element / s.positions;
      to[at] =
          from_float<T>(to_float(from[at]) * (philox_unit(words.word[i]) < s.share ? 0.0f : kept));
    }
  }
}

}  // namespace

void dropout(const DropoutShape& s, const int64_t* numbers, const void* x, void* y, void* stream) {
  if (s.batch > kMostImages) throw InternalError("dropout on a GPU takes 65,535 images at most");
  const int64_t blocks = (s.channels * s.positions + 3) / 4;
  if (s.batch * blocks == 0) return;
  if (s.channels * s.positions >= int64_t{1} << 34)
    throw InternalError("a sample of dropout has 2^34 elements or more");
  const int64_t most = std::max<int64_t>(1, 132 * 32 / s.batch);
  with_type(s.type, [&]<class T>() {
    launch(dropout_kernel<T>,
           dim3(blocks_for(blocks, kThreads, most), static_cast<unsigned>(s.batch)), kThreads,
           stream, s, numbers, static_cast<const T*>(x), static_cast<T*>(y));
  });
}

}  // namespace lockstep::cuda
