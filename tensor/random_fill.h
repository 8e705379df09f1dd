// Philox numbers made where they are used: fills for the GPU and their twins on the CPU.
//
// Row i of `out` [rows, elements] holds the numbers of (ids[i], *step), element by element, with
// the counters of core/philox.h; so a GPU draws what tensor/random.h draws on the CPU (normals: to
// the last bit but where the two libraries round a logarithm, a cosine or a sine in double
// differently). ids and step lie in device memory: a graph that is replayed with another step draws
// other numbers.
#pragma once

#include <cstdint>

#include "core/philox.h"

namespace lockstep {

struct RandomRows {
  int64_t rows = 0, elements = 0;  // elements < 2^34
  uint32_t key[2] = {0, 0};        // of Stream::key()
};

inline RandomRows random_rows(const Stream& stream, int64_t rows, int64_t elements) {
  return {rows, elements, {stream.key()[0], stream.key()[1]}};
}

namespace cuda {
void fill_uniform(const RandomRows& shape, const int64_t* ids, const int64_t* step, float* out,
                  void* stream);
void fill_normal(const RandomRows& shape, const int64_t* ids, const int64_t* step, float* out,
                 void* stream);
}  // namespace cuda

namespace cpu {
void fill_uniform(const RandomRows& shape, const int64_t* ids, const int64_t* step, float* out,
                  void* stream);
void fill_normal(const RandomRows& shape, const int64_t* ids, const int64_t* step, float* out,
                 void* stream);
}  // namespace cpu

}  // namespace lockstep
