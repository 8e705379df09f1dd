#include "ddp/tree.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/errors.h"
#include "ddp/add.h"

namespace lockstep {

namespace {

// Adds [lo, hi) of the tree into buffer lo, for `count` elements from `offset`. Buffers are
// numbered from `first`.
template <class T>
void add_node(std::span<T* const> slots, int64_t first, int64_t lo, int64_t hi, int64_t offset,
              int64_t count) {
  if (hi - lo < 2) return;
  const int64_t middle = tree_split(lo, hi);
  add_node(slots, first, lo, middle, offset, count);
  add_node(slots, first, middle, hi, offset, count);
  add_into(slots[lo - first] + offset, slots[middle - first] + offset, count);
}

template <class T>
void add_whole_node(std::span<T* const> slots, int64_t first, int64_t lo, int64_t hi,
                    int64_t count) {
  for (int64_t offset = 0; offset < count; offset += kCacheElements)
    add_node(slots, first, lo, hi, offset, std::min(kCacheElements, count - offset));
}

// The cut of a halved range, at a cache line.
int64_t half_of(int64_t count) { return count / 2 / 16 * 16; }

// `mine` += `theirs`, with the lower rank's value as the left operand.
template <class T>
void add_operand(T* mine, const T* theirs, int64_t count, bool theirs_is_left) {
  if (theirs_is_left)
    add_left(mine, theirs, count);
  else
    add_into(mine, theirs, count);
}

}  // namespace

TreeReduction::TreeReduction(Communicator& comm, int64_t num_slots)
    : comm_(comm),
      num_slots_(num_slots),
      local_(slots_of_rank(num_slots, comm.size(), comm.rank())) {
  if (num_slots < comm.size())
    throw ConfigError(fmt::format("{} ranks for {} slots", comm.size(), num_slots),
                      fmt::format("start at most {} ranks", num_slots));
}

template <class T>
T* TreeReduction::scratch(int64_t count) {
  const size_t bytes = static_cast<size_t>(count) * sizeof(T);
  if (bytes > scratch_bytes_) {
    scratch_ = std::make_unique<std::byte[]>(bytes);
    scratch_bytes_ = bytes;
  }
  return reinterpret_cast<T*>(scratch_.get());
}

template <class T>
void TreeReduction::sum_local(std::span<T* const> slots, int64_t count) {
  add_whole_node(slots, local_.begin, local_.begin, local_.end, count);
}

template <class T>
void TreeReduction::sum(std::span<T* const> slots, int64_t count, const std::string& what) {
  if (static_cast<int64_t>(slots.size()) != local_.count())
    throw InternalError(
        fmt::format("'{}': {} buffers for {} local slots", what, slots.size(), local_.count()));
  const int ranks = comm_.size();
  if (ranks == 1) return sum_local(slots, count);
  // Only then is every rank's range a node of the tree, and every pair's sum the next node.
  if (is_power_of_two(num_slots_) && is_power_of_two(ranks)) {
    sum_local(slots, count);
    if (count * static_cast<int64_t>(sizeof(T)) <= kWholeBytes)
      return sum_pairs(slots[0], count, what);
    return sum_by_halving(slots[0], count, what);
  }
  sum_by_owners(slots, 0, num_slots_, count, what);
  comm_.broadcast(slots[0], static_cast<size_t>(count) * sizeof(T), 0, what);
}

template <class T>
void TreeReduction::sum_pairs(T* data, int64_t count, const std::string& what) {
  const size_t bytes = static_cast<size_t>(count) * sizeof(T);
  for (int distance = 1; distance < comm_.size(); distance *= 2) {
    const int peer = comm_.rank() ^ distance;
    T* theirs = scratch<T>(count);
    comm_.exchange(peer, data, bytes, theirs, bytes, what);
    add_operand(data, theirs, count, peer < comm_.rank());
  }
}

template <class T>
void TreeReduction::sum_by_halving(T* data, int64_t count, const std::string& what) {
  std::vector<std::pair<int64_t, int64_t>> ranges{{0, count}};  // [begin, end) after each step
  for (int distance = 1; distance < comm_.size(); distance *= 2) {
    const auto [begin, end] = ranges.back();
    const int64_t middle = begin + half_of(end - begin);
    const int peer = comm_.rank() ^ distance;
    const bool keep_low = peer > comm_.rank();
    const auto keep = keep_low ? std::pair{begin, middle} : std::pair{middle, end};
    const auto give = keep_low ? std::pair{middle, end} : std::pair{begin, middle};
    T* theirs = scratch<T>(end - begin);
    comm_.exchange(peer, data + give.first, (give.second - give.first) * sizeof(T), theirs,
                   (keep.second - keep.first) * sizeof(T), what);
    add_operand(data + keep.first, theirs, keep.second - keep.first, !keep_low);
    ranges.push_back(keep);
  }
  for (int distance = comm_.size() / 2; distance >= 1; distance /= 2) {
    const auto [begin, end] = ranges.back();
    ranges.pop_back();
    const auto [all_begin, all_end] = ranges.back();
    const bool have_low = (comm_.rank() & distance) == 0;
    const auto other = have_low ? std::pair{end, all_end} : std::pair{all_begin, begin};
    comm_.exchange(comm_.rank() ^ distance, data + begin, (end - begin) * sizeof(T),
                   data + other.first, (other.second - other.first) * sizeof(T), what);
  }
}

template <class T>
void TreeReduction::sum_by_owners(std::span<T* const> slots, int64_t lo, int64_t hi, int64_t count,
                                  const std::string& what) {
  if (hi <= local_.begin || lo >= local_.end) return;
  if (lo >= local_.begin && hi <= local_.end)
    return add_whole_node(slots, local_.begin, lo, hi, count);
  const int64_t middle = tree_split(lo, hi);
  sum_by_owners(slots, lo, middle, count, what);
  sum_by_owners(slots, middle, hi, count, what);
  const int left = static_cast<int>(owner_of_slot(num_slots_, comm_.size(), lo));
  const int right = static_cast<int>(owner_of_slot(num_slots_, comm_.size(), middle));
  const size_t bytes = static_cast<size_t>(count) * sizeof(T);
  if (left == comm_.rank()) {
    const T* operand = right == left ? slots[middle - local_.begin] : scratch<T>(count);
    if (right != left) comm_.receive(right, scratch<T>(count), bytes, what);
    add_into(slots[lo - local_.begin], operand, count);
  } else if (right == comm_.rank()) {
    comm_.send(left, slots[middle - local_.begin], bytes, what);
  }
}

template void TreeReduction::sum<float>(std::span<float* const>, int64_t, const std::string&);
template void TreeReduction::sum<double>(std::span<double* const>, int64_t, const std::string&);
template void TreeReduction::sum_local<float>(std::span<float* const>, int64_t);
template void TreeReduction::sum_local<double>(std::span<double* const>, int64_t);

template <class T>
void sum_node(std::span<T* const> parts, const SlotRange& node, int64_t count) {
  add_whole_node(parts, node.begin, node.begin, node.end, count);
}
template void sum_node<float>(std::span<float* const>, const SlotRange&, int64_t);
template void sum_node<double>(std::span<double* const>, const SlotRange&, int64_t);

StepTotals sum_totals(TreeReduction& tree, std::span<const StepTotals> mine) {
  static_assert(sizeof(StepTotals) == 6 * sizeof(double));
  std::vector<StepTotals> work(mine.begin(), mine.end());
  std::vector<double*> slots;
  for (StepTotals& totals : work) slots.push_back(&totals.loss_sum);
  tree.sum<double>(slots, 6, "step totals");
  return work.at(0);
}

}  // namespace lockstep
