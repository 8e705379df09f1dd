#include "tasks/sudoku_seed/seed_states.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <ATen/ATen.h>

#include "core/philox.h"
#include "data/sudoku/sudoku_puzzles.h"

namespace lockstep {
namespace {

// Elements of the time stream at (id, step).
enum Element : uint64_t { kStart = 0, kCount = 1 };

template <class T>
at::Tensor copied(const std::vector<T>& values, at::ScalarType dtype) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, dtype);
  if (!values.empty())
    std::memcpy(out.mutable_data_ptr(), values.data(), values.size() * sizeof(T));
  return out;
}

}  // namespace

void SeedStatesBuilder::add(const uint8_t* cells, int64_t time, int64_t position, int64_t value) {
  cells_.insert(cells_.end(), cells, cells + kCells);
  times_.push_back(static_cast<float>(time));
  positions_.push_back(position);
  values_.push_back(value);
}

void SeedStatesBuilder::add_sequence(const Grid& solution, const CellOrder& order, int64_t start,
                                     int64_t count) {
  Grid state{};
  for (int64_t t = 0; t < std::min(start, kCells); ++t)
    state[order[size_t(t)]] = solution[order[size_t(t)]];
  for (int64_t t = start; t < std::min(start + count, kCells); ++t) {
    const size_t cell = order[size_t(t)];
    add(state.data(), t, static_cast<int64_t>(cell), solution[cell]);
    state[cell] = solution[cell];
  }
  count_steps(static_cast<double>(count));
}

SeedStates SeedStatesBuilder::finish() const {
  SeedStates states;
  states.cells = copied(cells_, at::kByte).view({-1, kCells});
  states.times = copied(times_, at::kFloat);
  states.position = copied(positions_, at::kLong);
  states.value = copied(values_, at::kLong);
  states.steps = steps_;
  return states;
}

SeedStates padded(const SeedStates& states, int64_t most, int64_t lengths) {
  const int64_t have = states.times.numel(),
                stride = std::max<int64_t>(1, (most + lengths - 1) / lengths);
  const int64_t want = std::max(stride, (have + stride - 1) / stride * stride);
  // Copies of a true state: its logits are finite wherever its own are.
  const auto filled = [&](const at::Tensor& values) {
    std::vector<int64_t> sizes = values.sizes().vec();
    sizes[0] = want - have;
    at::Tensor rest =
        have > 0 ? values.narrow(0, 0, 1).expand(sizes) : at::zeros(sizes, values.options());
    return at::cat({values, rest}, 0);
  };
  SeedStates out{filled(states.cells), filled(states.times), filled(states.position),
                 filled(states.value)};
  out.counts = at::cat({at::ones({have}), at::zeros({want - have})}, 0);
  out.steps = states.steps;
  return out;
}

SeedWindow seed_window(uint64_t seed, int64_t id, int64_t step, int64_t k_max) {
  const Stream stream(seed, Purpose::kTimestep);
  const auto starts = static_cast<uint32_t>(std::max<int64_t>(1, kCells - k_max));
  const auto sample = static_cast<uint64_t>(id);
  const auto at_step = static_cast<uint32_t>(step);
  return {stream.below(sample, at_step, kStart, starts),
          1 + stream.below(sample, at_step, kCount, static_cast<uint32_t>(k_max))};
}

SeedWindow seed_validation_window(int64_t id, int64_t k_max) {
  const int64_t starts = std::max<int64_t>(1, kCells - k_max);
  return {id % starts, 1 + id / starts % k_max};
}

CellOrder seed_order(uint64_t seed, int64_t id, int64_t step) {
  const Stream stream(seed, Purpose::kMask);
  Draws draws(stream, static_cast<uint64_t>(id), static_cast<uint32_t>(step));
  CellOrder order;
  std::iota(order.begin(), order.end(), uint8_t{0});
  draws.shuffle(order.begin(), order.end());
  return order;
}

SeedStates states_of_sequences(const at::Tensor& sequences,
                               const std::vector<SeedWindow>& windows) {
  const auto* all = sequences.const_data_ptr<uint8_t>();
  const auto state = [&](size_t row, int64_t t) {
    return all + (int64_t(row) * (kCells + 1) + std::min(t, kCells)) * kCells;
  };
  SeedStatesBuilder builder;
  int64_t longest = 0;
  for (const SeedWindow& window : windows) {
    builder.count_steps(static_cast<double>(window.count));
    longest = std::max(longest, window.count);
  }
  bool changed = true;
  for (int64_t step = 0; step < longest && changed; ++step) {
    changed = false;
    for (size_t row = 0; row < windows.size(); ++row) {
      const int64_t t = windows[row].start + step;
      if (step >= windows[row].count || t >= kCells) continue;
      const uint8_t* now = state(row, t);
      const uint8_t* next = state(row, t + 1);
      const auto cell = std::mismatch(now, now + kCells, next).first - now;
      if (cell == kCells) continue;
      changed = true;
      builder.add(now, t, cell, next[cell]);
    }
  }
  return builder.finish();
}

}  // namespace lockstep
