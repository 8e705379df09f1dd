// Reads ahead: threads that fetch micro-batches in a fixed order.
//
// The order is decided by the caller's plan, never by timing: results are equal for any number of
// threads. One consumer thread per loader.
//
// Thread k claims the lowest micro-batch nobody has claimed, as long as it lies less than
// prefetch_batches beyond the one the consumer waits for: that bounds memory and, because claims go
// in order, the consumer never waits for work that was not started.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "data/dataset.h"

namespace lockstep {

struct LoaderOptions {
  int threads = 1;           // ≥ 1
  int prefetch_batches = 4;  // ≥ 1; batches being read or waiting at most
};

class Loader {
 public:
  // `indices(n)` gives the global indices of the n-th micro-batch this rank needs, n = first,
  // first+1, … ; empty = the end. `order` maps index → id. Both are called from loader threads, at
  // once. An index of −1 is padding: its id is −1, its row zero. `dataset` must outlive the loader.
  using Indices = std::function<std::vector<int64_t>(int64_t n)>;
  using Order = std::function<int64_t(int64_t index)>;
  Loader(const Dataset& dataset, Order order, Indices indices, int64_t first,
         const LoaderOptions& options);
  // Stops the threads; never throws.
  ~Loader();
  // The next micro-batch in order; throws what a loader thread threw, now and on every later call.
  // After the end: rows() == 0.
  Batch next();
  // Seconds that next() has waited so far.
  double waited_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
