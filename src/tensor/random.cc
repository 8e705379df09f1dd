#include "tensor/random.h"

#include <algorithm>

#include <ATen/ops/empty.h>

#include "core/errors.h"

namespace lockstep {
namespace {

using Four = std::array<float, 4>;

// Fills [ids, shape...] four numbers at a time.
template <class MakeFour>
at::Tensor fill(const Stream& stream, const std::vector<int64_t>& ids, uint32_t step, const std::vector<int64_t>& shape,
                MakeFour make_four) {
  constexpr int64_t kMostElements = int64_t{1} << 34;
  std::vector<int64_t> sizes = {static_cast<int64_t>(ids.size())};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  at::Tensor out = at::empty(sizes, at::TensorOptions().dtype(at::kFloat));
  if (out.numel() == 0) return out;
  const int64_t row = out.numel() / static_cast<int64_t>(ids.size());
  if (row >= kMostElements) throw InternalError("a random tensor's row has 2^34 elements or more");
  auto* values = out.data_ptr<float>();
  for (const int64_t id : ids) {
    for (int64_t at = 0; at < row; at += 4) {
      const Four four = make_four(stream.block(static_cast<uint64_t>(id), step, static_cast<uint32_t>(at / 4)));
      std::copy_n(four.begin(), std::min<int64_t>(4, row - at), values + at);
    }
    values += row;
  }
  return out;
}

}  // namespace

at::Tensor random_uniform(const Stream& stream, const std::vector<int64_t>& ids, uint32_t step, const std::vector<int64_t>& shape) {
  return fill(stream, ids, step, shape, uniform4);
}

at::Tensor random_normal(const Stream& stream, const std::vector<int64_t>& ids, uint32_t step, const std::vector<int64_t>& shape) {
  return fill(stream, ids, step, shape, normal4);
}

}  // namespace lockstep
