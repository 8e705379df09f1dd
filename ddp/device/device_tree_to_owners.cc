#include "ddp/device/device_tree_to_owners.h"

#include <ATen/ATen.h>
#include <ATen/ops/_foreach_copy.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "ddp/device/device_tree.h"
#include "ddp/tree_to_owners.h"

namespace lockstep {
namespace {

void make_room(at::Tensor& buffer, int64_t elements, const at::Tensor& like) {
  if (!buffer.defined() || buffer.numel() < elements)
    buffer = at::empty({elements}, like.options());
}

}  // namespace

DeviceTreeToOwners::DeviceTreeToOwners(DeviceCommunicator& comm, DeviceQueue& queue,
                                       int64_t num_slots, const ShardLayout& layout)
    : comm_(comm), queue_(queue), num_slots_(num_slots), layout_(layout) {
  if (num_slots < comm.size())
    throw ConfigError(fmt::format("{} slots for {} ranks", num_slots, comm.size()),
                      "use at most as many ranks as slots");
  if (layout.ranks() != comm.size() || layout.rank() != comm.rank())
    throw InternalError(
        fmt::format("shares of {} ranks for {} ranks", layout.ranks(), comm.size()));
  for (int rank = 0; rank < comm.size(); ++rank) {
    nodes_.push_back(nodes_of_rank(num_slots, comm.size(), rank));
    for (const SlotRange& node : nodes_.back()) node_at_[node.begin] = node;
  }
}

at::Tensor DeviceTreeToOwners::rows_of(int rank, int64_t own) const {
  const auto before = std::distance(node_at_.begin(),
                                    node_at_.find(nodes_[static_cast<size_t>(rank)].front().begin));
  return in_.narrow(0, before * own, std::ssize(nodes_[static_cast<size_t>(rank)]) * own);
}

void DeviceTreeToOwners::sum(const std::vector<at::Tensor>& slots, int64_t begin, int64_t end,
                             const std::string& what) {
  const at::NoGradGuard no_grad;
  const int me = comm_.rank(), ranks = comm_.size();
  const Range range{begin, end};
  const int64_t own = layout_.count_owned(me, begin, end);
  queue_.run([&] {
    std::vector<at::Tensor> parts;
    for (const at::Tensor& slot : slots) parts.push_back(slot.narrow(0, begin, end - begin));
    const auto& mine = nodes_[static_cast<size_t>(me)];
    for (const SlotRange& node : mine)
      sum_slots_here(parts, mine.front().begin, node.begin, node.end);
    make_room(in_, own * std::ssize(node_at_), slots.front());
    int64_t at = 0;
    for (const auto& [slot, node] : node_at_) values_[slot] = in_.narrow(0, own * at++, own);
    pack(me, slots, range, rows_of(me, own));
  });
  // Round k pairs the ranks whose numbers add up to k mod n: a perfect matching, so nobody waits in
  // a circle.
  for (int round = 0; round < ranks; ++round) {
    const int peer = ((round - me) % ranks + ranks) % ranks;
    if (peer != me) exchange_with(peer, slots, range, what);
  }
  if (own == 0) return;
  queue_.run([&] {
    add_node(0, num_slots_);
    std::vector<at::Tensor> places, sums;
    int64_t at = 0;
    layout_.for_owned(me, begin, end, [&](int64_t from, int64_t to) {
      places.push_back(slots.front().narrow(0, from, to - from));
      sums.push_back(values_.at(0).narrow(0, at, to - from));
      at += to - from;
    });
    at::_foreach_copy_(places, sums);
  });
}

void DeviceTreeToOwners::exchange_with(int peer, const std::vector<at::Tensor>& slots, Range range,
                                       const std::string& what) {
  const int64_t theirs = layout_.count_owned(peer, range.begin, range.end) *
                         std::ssize(nodes_[static_cast<size_t>(comm_.rank())]);
  const int64_t own = layout_.count_owned(comm_.rank(), range.begin, range.end);
  if (theirs == 0 && own == 0) return;
  at::Tensor out;
  queue_.run([&] {
    if (theirs == 0) return;
    make_room(out_, theirs, slots.front());
    out = out_.narrow(0, 0, theirs);
    pack(peer, slots, range, out);
  });
  comm_.exchange(peer, out, own > 0 ? rows_of(peer, own) : at::Tensor(), queue_, what);
}

void DeviceTreeToOwners::pack(int owner, const std::vector<at::Tensor>& slots, Range range,
                              const at::Tensor& to) {
  if (to.numel() == 0) return;
  const auto& nodes = nodes_[static_cast<size_t>(comm_.rank())];
  std::vector<at::Tensor> pieces;
  for (const SlotRange& node : nodes)
    layout_.for_owned(owner, range.begin, range.end, [&](int64_t from, int64_t end) {
      pieces.push_back(
          slots[static_cast<size_t>(node.begin - nodes.front().begin)].narrow(0, from, end - from));
    });
  at::Tensor packed = to;
  at::cat_out(packed, pieces);
}

// Adds Tree(lo, hi) into the values of its first node.
void DeviceTreeToOwners::add_node(int64_t lo, int64_t hi) {
  if (node_at_.at(lo).end == hi) return;
  const int64_t middle = tree_split(lo, hi);
  add_node(lo, middle);
  add_node(middle, hi);
  values_.at(lo).add_(values_.at(middle));
}

}  // namespace lockstep
