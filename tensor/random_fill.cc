#include "tensor/random_fill.h"

#include <algorithm>

namespace lockstep::cpu {
namespace {

template <class MakeFour>
void fill(const RandomRows& shape, const int64_t* ids, const int64_t* step, float* out,
          MakeFour make_four) {
  for (int64_t row = 0; row < shape.rows; ++row, out += shape.elements) {
    const uint64_t id = static_cast<uint64_t>(ids[row]);
    for (int64_t at = 0; at < shape.elements; at += 4) {
      const PhiloxCounter counter = {static_cast<uint32_t>(at / 4), static_cast<uint32_t>(*step),
                                     static_cast<uint32_t>(id), static_cast<uint32_t>(id >> 32)};
      const std::array<float, 4> four =
          make_four(philox4x32(counter, {shape.key[0], shape.key[1]}));
      std::copy_n(four.begin(), std::min<int64_t>(4, shape.elements - at), out + at);
    }
  }
}

}  // namespace

void fill_uniform(const RandomRows& shape, const int64_t* ids, const int64_t* step, float* out,
                  void*) {
  fill(shape, ids, step, out, uniform4);
}

void fill_normal(const RandomRows& shape, const int64_t* ids, const int64_t* step, float* out,
                 void*) {
  fill(shape, ids, step, out, normal4);
}

}  // namespace lockstep::cpu
