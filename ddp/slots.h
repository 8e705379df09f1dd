// Slots: fixed shares of the global batch, so that a result does not depend on how many ranks
// computed it (design.md 3, rule 4).
//
// Rank r of n owns the slots [⌊rS/n⌋, ⌊(r+1)S/n⌋). Sums over slots always follow the same binary
// tree: Tree(lo, hi) is one slot, or Tree(lo, m) + Tree(m, hi) with m = lo + the largest power of
// two below hi − lo. Floating-point addition is not associative; the fixed tree is what makes the
// bits equal. Everything here is a pure function.
#pragma once

#include <cstdint>

#include "core/config/fields.h"

namespace lockstep {

// [begin, end)
struct SlotRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t count() const { return end - begin; }
  bool operator==(const SlotRange&) const = default;
};

// The slots of `rank` among `ranks` ≤ `slots`.
SlotRange slots_of_rank(int64_t slots, int64_t ranks, int64_t rank);
// The rank that owns `slot`.
int64_t owner_of_slot(int64_t slots, int64_t ranks, int64_t slot);
// Where Tree(lo, hi) splits; hi − lo ≥ 2.
int64_t tree_split(int64_t lo, int64_t hi);

bool is_power_of_two(int64_t n);

// Tree(lo, hi) over values: `leaf(i)` for lo ≤ i < hi, added with +. An empty range gives T{}.
template <class T, class Leaf>
T tree_sum(int64_t lo, int64_t hi, const Leaf& leaf) {
  if (hi <= lo) return T{};
  if (hi - lo == 1) return leaf(lo);
  const int64_t middle = tree_split(lo, hi);
  T left = tree_sum<T>(lo, middle, leaf);
  T right = tree_sum<T>(middle, hi, leaf);
  return left + right;
}

// What the number of slots depends on.
struct SlotInputs {
  int64_t global_batch = 1;
  int64_t ranks = 1;
  int64_t micro_batches = 1;  // per rank at the first start
  bool cpu = true;
};

// `ddp.slots`: auto is, on CPU, the largest of 8, 4, 2, 1 that divides the global batch; on GPUs
// ranks × micro-batches. 0 means: slots follow the ranks. Throws ConfigError if the slots do not
// divide the global batch or are fewer than the ranks.
int64_t choose_slots(const Auto<int64_t>& option, const SlotInputs& inputs);

}  // namespace lockstep
