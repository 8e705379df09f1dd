// The CPU twin of dropout.cu.
#include <algorithm>
#include <array>

#include "core/philox.h"
#include "kernels/dropout_kernel.h"
#include "tensor/float_types.h"

namespace lockstep::cpu {

void dropout(const DropoutShape& s, const int64_t* numbers, const void* x, void* y, void*) {
  const int64_t elements = s.channels * s.positions;
  const auto key = static_cast<uint64_t>(numbers[0]);
  const PhiloxKey words = {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  with_float_type(s.type, [&]<class T>() {
    const float kept = static_cast<float>(static_cast<T>(s.kept));
    for (int64_t image = 0; image < s.batch; ++image) {
      const T* from = static_cast<const T*>(x) + image * elements;
      T* to = static_cast<T*>(y) + image * elements;
      const auto id = static_cast<uint64_t>(numbers[2 + image]);
      for (int64_t first = 0; first < elements; first += 4) {
        const std::array<float, 4> four = uniform4(philox4x32(
            {static_cast<uint32_t>((s.first + first) / 4), static_cast<uint32_t>(numbers[1]),
             static_cast<uint32_t>(id), static_cast<uint32_t>(id >> 32)},
            words));
        for (int64_t element = first; element < std::min(first + 4, elements); ++element) {
          const int64_t at = s.channels_last
                                 ? element % s.positions * s.channels + element / s.positions
                                 : element;
          to[at] =
              static_cast<T>(static_cast<float>(from[at]) *
                             (four[static_cast<size_t>(element - first)] < s.share ? 0.0f : kept));
        }
      }
    }
  });
}

}  // namespace lockstep::cpu
