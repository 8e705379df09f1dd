#include "tensor/random.h"

#include <ATen/ops/empty.h>

#include "core/errors.h"

namespace lockstep {
namespace {

using Row = void (*)(const Stream& stream, uint64_t id, uint32_t step, float* out, int64_t count);

// Fills [ids, shape...].
at::Tensor fill(const Stream& stream, const std::vector<int64_t>& ids, uint32_t step,
                const std::vector<int64_t>& shape, Row row) {
  constexpr int64_t kMostElements = int64_t{1} << 34;
  std::vector<int64_t> sizes = {static_cast<int64_t>(ids.size())};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  at::Tensor out = at::empty(sizes, at::TensorOptions().dtype(at::kFloat));
  if (out.numel() == 0) return out;
  const int64_t count = out.numel() / static_cast<int64_t>(ids.size());
  if (count >= kMostElements)
    throw InternalError("a random tensor's row has 2^34 elements or more");
  auto* values = out.data_ptr<float>();
  for (const int64_t id : ids) {
    row(stream, static_cast<uint64_t>(id), step, values, count);
    values += count;
  }
  return out;
}

}  // namespace

at::Tensor random_uniform(const Stream& stream, const std::vector<int64_t>& ids, uint32_t step,
                          const std::vector<int64_t>& shape) {
  return fill(stream, ids, step, shape, uniform_row);
}

at::Tensor random_normal(const Stream& stream, const std::vector<int64_t>& ids, uint32_t step,
                         const std::vector<int64_t>& shape) {
  return fill(stream, ids, step, shape, normal_row);
}

}  // namespace lockstep
