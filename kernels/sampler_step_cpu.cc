#include <cmath>
#include <vector>

#include "kernels/sampler_kernel.h"
#include "kernels/sampler_loops.h"

namespace lockstep::cpu {

void sampler_step(const SamplerShape& shape, const double* table, const int64_t* row, float* x,
                  float* start, const float* output, const float* noise, void*) {
  const double* w = table + kSamplerNumbers * *row;
  const bool noisy = w[8] != 0, learned = noisy && w[11] != 0;
  const SamplerWeights weights = {
      w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], learned ? 1 : w[8]};
  std::vector<float> weighted(learned ? static_cast<size_t>(shape.elements) : 0);
  for (int64_t image = 0; image < shape.images;
       ++image, x += shape.elements, start += shape.elements, output += shape.output_elements) {
    const float* z = noisy ? noise + image * shape.elements : nullptr;
    for (int64_t i = 0; i < static_cast<int64_t>(weighted.size()); ++i) {
      const double share = (static_cast<double>(output[shape.elements + i]) + 1) * 0.5;
      const double log_variance = share * w[10] + (1 - share) * w[9];
      weighted[static_cast<size_t>(i)] = static_cast<float>(std::exp(log_variance * 0.5) * z[i]);
    }
    sampler_loop(weights,
                 {x, start, output, w[7] != 0 ? start : nullptr, learned ? weighted.data() : z},
                 shape.elements);
  }
}

}  // namespace lockstep::cpu
