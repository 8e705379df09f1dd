// The order of packed rows: step → rows of units, the same for every number of ranks and after
// every resume (design rule 2).
//
// Samples come in the order of data/sample_order.h and are packed window by window:
//
//   window w   the units carried over from w − 1, then those of the next `window` samples; it ends
//              at the epoch's end
//   rows       by the packer, units in window order
//   left over  the (rows mod G) least filled rows, of equals the youngest, for G rows a step; their
//              units are carried over in window order
//   groups     the other rows by (cost, row number), G neighbours a group: rows of a step weigh the
//              same
//   order      the permutation of sample_order.h under Purpose::kPacking with epoch = w
//
// The last window of the last epoch carries nothing over: the rows left over make one more group,
// filled up with empty rows, which comes last.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/sample_order.h"
#include "packing/packers.h"
#include "packing/row_cost.h"
#include "packing/units.h"

namespace lockstep {

using Row = std::vector<Unit>;   // empty: a row of padding, which counts nothing
using Group = std::vector<Row>;  // the rows of one step

struct PackedOrderSettings {
  const Packer* packer = nullptr;
  PackLimits limits;
  TooLong too_long = TooLong::kSplit;
  int64_t global_batch = 1;  // G, rows of a step
  int64_t window = 4096;     // samples
  uint64_t seed = 0;
  CostModel cost;
  int64_t epochs = 0;  // 0: without end
};

// The smallest power of two ≥ 4,096 whose samples fill max(1000, 8·G) rows on average.
int64_t window_of(int64_t samples, int64_t tokens, int64_t capacity, int64_t global_batch);

// Where an order stands. Plain, for checkpoints.
struct PackedOrderState {
  int64_t next_index = 0;     // global index of the window's first sample
  std::vector<Unit> carried;  // into the window
  int64_t group = 0;          // groups of the window that were given out
  bool operator==(const PackedOrderState&) const = default;
};

// A window as planned.
struct PackedWindow {
  std::vector<Group> groups;  // in the order of training
  std::vector<Unit> carried;  // into the next window
  UnitCounts counts;          // of the samples read for it, without what was carried in
  int64_t rows = 0;           // given out, without empty ones
  int64_t row_tokens = 0;     // tokens in them
  int64_t next_index = 0;     // of the next window
};

// What was packed, and how well. tokens = kept + cut + dropped of `read`, and
// read.kept = row_tokens + tokens still carried.
struct PackingStatistics {
  UnitCounts read;
  int64_t steps = 0, rows = 0, empty_rows = 0, row_tokens = 0, carried_tokens = 0;
  double balance_sum = 0;  // over steps
  // Share of the rows' places that hold tokens; places that do not; mean of max/mean cost.
  double fill(int64_t capacity) const;
  int64_t padded(int64_t capacity) const { return (rows + empty_rows) * capacity - row_tokens; }
  double balance() const { return steps > 0 ? balance_sum / static_cast<double>(steps) : 1.0; }
};

// Not thread-safe. `source` must outlive it.
class PackedOrder {
 public:
  // Throws ConfigError if an epoch has fewer than G rows.
  PackedOrder(const LengthSource& source, const PackedOrderSettings& settings);

  // The rows of the next step; nothing after the last epoch.
  std::optional<Group> next();
  // Goes on from `state`, which state() of an order with equal settings gave. Throws
  // CheckpointError for one that no such order has.
  void restore(const PackedOrderState& state);
  const PackedOrderState& state() const { return state_; }

  // A pure function of the settings and its arguments; state() is not touched.
  PackedWindow plan_window(int64_t next_index, const std::vector<Unit>& carried) const;
  // All of the first `epochs` epochs, planned on lengths alone and shared out over `ranks` ranks.
  // steps are those of a run over so many epochs.
  PackingStatistics statistics(int64_t epochs, int64_t ranks) const;

 private:
  PackedWindow plan_window(int64_t next_index, const std::vector<Unit>& carried,
                           int64_t epochs) const;
  int64_t number_of(int64_t next_index) const;

  const LengthSource& source_;
  PackedOrderSettings settings_;
  SampleOrder samples_;
  PackedOrderState state_;
  std::optional<PackedWindow> window_;  // of state_
};

}  // namespace lockstep
