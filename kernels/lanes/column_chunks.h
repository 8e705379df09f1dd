// How kernels cut sums over rows, so that their order depends on the shape alone, never on the
// device.
//
// Gradients of gains and biases are sums over all rows of an image for each column. A block adds a
// chunk of rows; the chunks are added in order. Workspaces hold the chunks' sums.
#pragma once

#include <algorithm>
#include <cstdint>

namespace lockstep {

struct ColumnChunks {
  int64_t rows_each = 0, count = 0;
};

// About 2,000 blocks in all, each with 32 rows at least.
inline ColumnChunks column_chunks(int64_t images, int64_t rows, int64_t columns) {
  const int64_t tiles = (columns + 127) / 128;
  const int64_t rows_each = std::max<int64_t>(32, (rows * images * tiles + 2047) / 2048);
  return {rows_each, std::max<int64_t>(1, (rows + rows_each - 1) / rows_each)};
}

}  // namespace lockstep
