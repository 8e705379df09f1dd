#include "ddp/device/device_tree.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"

namespace lockstep {
namespace {

SlotRange local_slots(const DeviceCommunicator& comm, int64_t num_slots) {
  if (num_slots < comm.size())
    throw ConfigError(fmt::format("{} slots for {} ranks", num_slots, comm.size()),
                      "use at most as many ranks as slots");
  return slots_of_rank(num_slots, comm.size(), comm.rank());
}

}  // namespace

void sum_slots_here(const std::vector<at::Tensor>& slots, int64_t first, int64_t lo, int64_t hi) {
  if (hi - lo < 2) return;
  const int64_t middle = tree_split(lo, hi);
  sum_slots_here(slots, first, lo, middle);
  sum_slots_here(slots, first, middle, hi);
  slots[static_cast<size_t>(lo - first)].add_(slots[static_cast<size_t>(middle - first)]);
}

DeviceTree::DeviceTree(DeviceCommunicator& comm, DeviceQueue& queue, int64_t num_slots)
    : comm_(comm), queue_(queue), num_slots_(num_slots), local_(local_slots(comm, num_slots)) {}

at::Tensor DeviceTree::scratch(const at::Tensor& like) {
  if (!scratch_.defined() || scratch_.nbytes() < like.nbytes())
    scratch_ = at::empty({static_cast<int64_t>(like.nbytes())}, like.options().dtype(at::kByte));
  return scratch_.narrow(0, 0, static_cast<int64_t>(like.nbytes())).view(like.scalar_type());
}

void DeviceTree::sum(const std::vector<at::Tensor>& slots, const std::string& what) {
  const at::NoGradGuard no_grad;
  if (is_power_of_two(comm_.size()) && is_power_of_two(num_slots_)) {
    queue_.run([&] { sum_slots_here(slots, local_.begin, local_.begin, local_.end); });
    return sum_pairs(slots.front(), what);
  }
  if (comm_.size() == 1) return queue_.run([&] { sum_slots_here(slots, 0, 0, num_slots_); });
  sum_by_owners(slots, 0, num_slots_, what);
  comm_.broadcast(slots.front(), 0, queue_, what);  // rank 0 owns slot 0
}

void DeviceTree::sum_pairs(const at::Tensor& data, const std::string& what) {
  for (int distance = 1; distance < comm_.size(); distance *= 2) {
    const at::Tensor theirs = scratch(data);
    comm_.exchange(comm_.rank() ^ distance, data, theirs, queue_, what);
    queue_.run([&] { data.add_(theirs); });  // a + b = b + a in every bit
  }
}

void DeviceTree::sum_by_owners(const std::vector<at::Tensor>& slots, int64_t lo, int64_t hi,
                               const std::string& what) {
  if (hi <= local_.begin || lo >= local_.end) return;
  if (lo >= local_.begin && hi <= local_.end)
    return queue_.run([&] { sum_slots_here(slots, local_.begin, lo, hi); });
  const int64_t middle = tree_split(lo, hi);
  sum_by_owners(slots, lo, middle, what);
  sum_by_owners(slots, middle, hi, what);
  const int left = static_cast<int>(owner_of_slot(num_slots_, comm_.size(), lo));
  const int right = static_cast<int>(owner_of_slot(num_slots_, comm_.size(), middle));
  if (left == comm_.rank()) {
    const at::Tensor& sum = slots[static_cast<size_t>(lo - local_.begin)];
    const at::Tensor operand =
        right == left ? slots[static_cast<size_t>(middle - local_.begin)] : scratch(sum);
    if (right != left) comm_.exchange(right, {}, operand, queue_, what);
    queue_.run([&] { sum.add_(operand); });
  } else if (right == comm_.rank()) {
    comm_.exchange(left, slots[static_cast<size_t>(middle - local_.begin)], {}, queue_, what);
  }
}

}  // namespace lockstep
