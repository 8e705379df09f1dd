#include "ddp/tree_to_owners.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/errors.h"
#include "ddp/add.h"
#include "ddp/tree.h"

namespace lockstep {

namespace {

void find_nodes(int64_t lo, int64_t hi, const SlotRange& mine, std::vector<SlotRange>& nodes) {
  if (hi <= mine.begin || lo >= mine.end) return;
  if (lo >= mine.begin && hi <= mine.end) return nodes.push_back({lo, hi});
  const int64_t middle = tree_split(lo, hi);
  find_nodes(lo, middle, mine, nodes);
  find_nodes(middle, hi, mine, nodes);
}

}  // namespace

std::vector<SlotRange> nodes_of_rank(int64_t slots, int64_t ranks, int64_t rank) {
  std::vector<SlotRange> nodes;
  find_nodes(0, slots, slots_of_rank(slots, ranks, rank), nodes);
  return nodes;
}

TreeToOwners::TreeToOwners(Communicator& comm, int64_t num_slots, const ShardLayout& layout)
    : comm_(comm), num_slots_(num_slots), layout_(layout) {
  if (num_slots < comm.size())
    throw ConfigError(fmt::format("{} ranks for {} slots", comm.size(), num_slots),
                      fmt::format("start at most {} ranks", num_slots));
  if (layout.ranks() != comm.size() || layout.rank() != comm.rank())
    throw InternalError(
        fmt::format("shares of {} ranks for {} ranks", layout.ranks(), comm.size()));
  for (int rank = 0; rank < comm.size(); ++rank) {
    nodes_.push_back(nodes_of_rank(num_slots, comm.size(), rank));
    for (const SlotRange& node : nodes_.back()) node_at_[node.begin] = node;
  }
}

void TreeToOwners::sum(std::span<float* const> slots, int64_t begin, int64_t end,
                       const std::string& what) {
  const int me = comm_.rank(), ranks = comm_.size();
  const Range range{begin, end};
  const int64_t first = nodes_[me].front().begin;
  for (const SlotRange& node : nodes_[me]) {
    std::vector<float*> parts;
    for (int64_t slot = node.begin; slot < node.end; ++slot)
      parts.push_back(slots[slot - first] + begin);
    sum_node<float>(parts, node, end - begin);
  }
  const int64_t own = layout_.count_owned(me, begin, end);
  in_.resize(std::max(in_.size(), static_cast<size_t>(own) * node_at_.size()));
  values_.clear();
  int64_t at = 0;
  for (const auto& [slot, node] : node_at_) values_[slot] = in_.data() + own * at++;
  pack(me, slots, range, values_[first]);
  // Round k pairs the ranks whose numbers add up to k mod n: a perfect matching, so nobody waits in
  // a circle.
  for (int round = 0; round < ranks; ++round) {
    const int peer = ((round - me) % ranks + ranks) % ranks;
    if (peer != me) exchange_with(peer, slots, range, what);
  }
  for (int64_t offset = 0; offset < own; offset += kCacheElements)
    add_node(0, num_slots_, offset, std::min(kCacheElements, own - offset));
  const float* sum = values_[0];
  layout_.for_owned(me, begin, end, [&](int64_t from, int64_t to) {
    std::memcpy(slots[0] + from, sum, (to - from) * sizeof(float));
    sum += to - from;
  });
}

void TreeToOwners::exchange_with(int peer, std::span<float* const> slots, Range range,
                                 const std::string& what) {
  const int64_t theirs =
      layout_.count_owned(peer, range.begin, range.end) * std::ssize(nodes_[comm_.rank()]);
  const int64_t own =
      layout_.count_owned(comm_.rank(), range.begin, range.end) * std::ssize(nodes_[peer]);
  if (theirs == 0 && own == 0) return;
  out_.resize(std::max(out_.size(), static_cast<size_t>(theirs)));
  pack(peer, slots, range, out_.data());
  comm_.exchange(peer, out_.data(), theirs * sizeof(float), values_[nodes_[peer].front().begin],
                 own * sizeof(float), what);
}

void TreeToOwners::pack(int owner, std::span<float* const> slots, Range range, float* to) const {
  const auto& nodes = nodes_[comm_.rank()];
  for (const SlotRange& node : nodes)
    layout_.for_owned(owner, range.begin, range.end, [&](int64_t from, int64_t end) {
      std::memcpy(to, slots[node.begin - nodes.front().begin] + from, (end - from) * sizeof(float));
      to += end - from;
    });
}

// Adds Tree(lo, hi) into the values of its first node.
float* TreeToOwners::add_node(int64_t lo, int64_t hi, int64_t offset, int64_t count) {
  float* const left = values_.at(lo);
  if (node_at_.at(lo).end == hi) return left;
  const int64_t middle = tree_split(lo, hi);
  add_node(lo, middle, offset, count);
  add_into(left + offset, add_node(middle, hi, offset, count) + offset, count);
  return left;
}

}  // namespace lockstep
