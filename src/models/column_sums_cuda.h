// Two sums over rows for each column, in float32 and in a fixed order: part of the backward of every norm.
//
// A block of 8 warps takes 32 packs of columns; warp w adds rows w, w + 8, … of its chunk, then the 8 partial
// sums are added in order. Chunks: column_chunks.h.
#pragma once

#include "models/column_chunks.h"
#include "tensor/device_cuda.h"

namespace lockstep::cuda {

inline constexpr int kSumThreads = 256, kSumWarps = kSumThreads / kWarp;

// Where a block of column_sums works. Grid: x = tiles · chunks, y = images.
struct SumsPlace {
  int64_t image, chunk, column;  // column: the thread's first; may lie beyond the last
};
template <int N>
__device__ SumsPlace sums_place(int64_t columns) {
  const int64_t tiles = (columns / N + kWarp - 1) / kWarp;
  const int64_t tile = blockIdx.x % tiles;
  return {blockIdx.y, blockIdx.x / tiles, (tile * kWarp + threadIdx.x % kWarp) * N};
}

inline dim3 sums_grid(int64_t images, const ColumnChunks& chunks, int64_t columns, int pack) {
  const int64_t tiles = (columns / pack + kWarp - 1) / kWarp;
  return dim3(static_cast<unsigned>(tiles * chunks.count), static_cast<unsigned>(images));
}

// Calls add(row, first, second) for the rows of the chunk; `first` and `second` are arrays of N sums. Writes
// partial[image][chunk][2][columns]. All threads of the block call it, also those without columns.
template <int N, class Add>
__device__ void column_sums(const SumsPlace& at, const ColumnChunks& chunks, int64_t rows, int64_t columns, float* partial,
                            const Add& add) {
  __shared__ float sums[2][kSumWarps][kWarp * N];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  float first[N] = {}, second[N] = {};
  if (at.column < columns) {
    const int64_t end = (at.chunk + 1) * chunks.rows_each < rows ? (at.chunk + 1) * chunks.rows_each : rows;
    for (int64_t row = at.chunk * chunks.rows_each + warp; row < end; row += kSumWarps) add(row, first, second);
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    sums[0][warp][lane * N + i] = first[i];
    sums[1][warp][lane * N + i] = second[i];
  }
  __syncthreads();
  const int64_t tile_begin = at.column - lane * N;
  float* to = partial + (at.image * chunks.count + at.chunk) * 2 * columns;
  for (int i = threadIdx.x; i < 2 * kWarp * N; i += kSumThreads) {
    const int which = i / (kWarp * N), column = i % (kWarp * N);
    float sum = 0;
    for (int w = 0; w < kSumWarps; ++w) sum += sums[which][w][column];
    if (tile_begin + column < columns) to[which * columns + tile_begin + column] = sum;
  }
}

// Σ over chunks of sum `which` (0 or 1) of one column.
__device__ inline float sum_chunks(const float* partial, const ColumnChunks& chunks, int64_t columns, int64_t image, int which,
                                   int64_t column) {
  float sum = 0;
  const float* from = partial + image * chunks.count * 2 * columns + which * columns + column;
  for (int64_t chunk = 0; chunk < chunks.count; ++chunk) sum += from[chunk * 2 * columns];
  return sum;
}

}  // namespace lockstep::cuda
