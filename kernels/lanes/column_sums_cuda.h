// Two sums over rows for each column, in float32 and in a fixed order: part of the backward of
// every norm.
//
// A row belongs to as many lanes as its packs fill, at most a warp; a block of 256 threads has so
// many rows at work at once, each slot adds every so-many-th row of the block's chunk, then the
// slots' sums are added in order. Chunks: column_chunks.h.
#pragma once

#include "kernels/lanes/column_chunks.h"
#include "tensor/device_cuda.h"

namespace lockstep::cuda {

inline constexpr int kSumThreads = 256;

// Lanes of a row of `columns`, in packs: a power of two, at most a warp.
__host__ __device__ inline int lanes_of_row(int64_t columns, int pack) {
  int lanes = 1;
  while (lanes < kWarp && int64_t{lanes} * pack < columns) lanes *= 2;
  return lanes;
}

// Where a block of column_sums works. Grid: x = tiles · chunks, y = images.
struct SumsPlace {
  int64_t image, chunk, column;  // column: the thread's first; may lie beyond the last
  int lanes;
};
template <int N>
__device__ SumsPlace sums_place(int64_t columns) {
  const int lanes = lanes_of_row(columns, N);
  const int64_t tiles = (columns / N + lanes - 1) / lanes;
  const int64_t tile = blockIdx.x % tiles;
  return {blockIdx.y, blockIdx.x / tiles,
          (tile * lanes + static_cast<int>(threadIdx.x) % lanes) * N, lanes};
}

inline dim3 sums_grid(int64_t images, const ColumnChunks& chunks, int64_t columns, int pack) {
  const int lanes = lanes_of_row(columns, pack);
  const int64_t tiles = (columns / pack + lanes - 1) / lanes;
  return dim3(static_cast<unsigned>(tiles * chunks.count), static_cast<unsigned>(images));
}

// Calls add(row, first, second) for the rows of the chunk; `first` and `second` are arrays of N
// sums. Writes partial[image][chunk][2][columns]. All threads of the block call it, also those
// without columns.
template <int N, class Add>
__device__ void column_sums(const SumsPlace& at, const ColumnChunks& chunks, int64_t rows,
                            int64_t columns, float* partial, const Add& add) {
  __shared__ float sums[2][kSumThreads * N];
  const int lane = static_cast<int>(threadIdx.x) % at.lanes,
            slot = static_cast<int>(threadIdx.x) / at.lanes;
  const int slots = kSumThreads / at.lanes, width = at.lanes * N;
  float first[N] = {}, second[N] = {};
  if (at.column < columns) {
    const int64_t end =
        (at.chunk + 1) * chunks.rows_each < rows ? (at.chunk + 1) * chunks.rows_each : rows;
    for (int64_t row = at.chunk * chunks.rows_each + slot; row < end; row += slots)
      add(row, first, second);
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    sums[0][slot * width + lane * N + i] = first[i];
    sums[1][slot * width + lane * N + i] = second[i];
  }
  __syncthreads();
  const int64_t tile_begin = at.column - lane * N;
  float* to = partial + (at.image * chunks.count + at.chunk) * 2 * columns;
  for (int i = threadIdx.x; i < 2 * width; i += kSumThreads) {
    const int which = i / width, column = i % width;
    float sum = 0;
    for (int other = 0; other < slots; ++other) sum += sums[which][other * width + column];
    if (tile_begin + column < columns) to[which * columns + tile_begin + column] = sum;
  }
}

// Σ over chunks of sum `which` (0 or 1) of one column.
__device__ inline float sum_chunks(const float* partial, const ColumnChunks& chunks,
                                   int64_t columns, int64_t image, int which, int64_t column) {
  float sum = 0;
  const float* from = partial + image * chunks.count * 2 * columns + which * columns + column;
  for (int64_t chunk = 0; chunk < chunks.count; ++chunk) sum += from[chunk * 2 * columns];
  return sum;
}

}  // namespace lockstep::cuda
