// First fit with a tree over the rows: each node knows the most room below it, so that the oldest
// row with room is found in log(rows) steps.
#include "packing/packers.h"

namespace lockstep {
namespace {

// Room of rows 0, 1, …; doubles when it is full.
class RoomTree {
 public:
  explicit RoomTree(int64_t capacity) : capacity_(capacity), most_(2, capacity) {}

  // The oldest row with at least `length` room. Rows that nobody used yet have all of it.
  int64_t oldest_with(int64_t length) {
    if (most_[1] < length) grow();
    size_t node = 1;
    while (node < leaves_) node = 2 * node + (most_[2 * node] < length);
    return static_cast<int64_t>(node - leaves_);
  }
  int64_t room(int64_t row) const { return most_[leaves_ + row]; }
  void set_room(int64_t row, int64_t room) {
    size_t node = leaves_ + row;
    most_[node] = room;
    while (node /= 2) most_[node] = std::max(most_[2 * node], most_[2 * node + 1]);
  }

 private:
  void grow() {
    std::vector<int64_t> wider(4 * leaves_, capacity_);
    for (size_t i = 0; i < leaves_; ++i) wider[2 * leaves_ + i] = most_[leaves_ + i];
    leaves_ *= 2;
    for (size_t i = leaves_ - 1; i > 0; --i) wider[i] = std::max(wider[2 * i], wider[2 * i + 1]);
    most_.swap(wider);
  }

  int64_t capacity_;
  size_t leaves_ = 1;
  std::vector<int64_t> most_;  // [1] is the root, leaves from leaves_ on
};

}  // namespace

PackPlan pack_first_fit(std::span<const int32_t> lengths, const PackLimits& limits, int) {
  RoomTree tree(limits.capacity);
  std::vector<int64_t> row_of(lengths.size()), documents;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int64_t row = tree.oldest_with(lengths[i]);
    if (row == static_cast<int64_t>(documents.size())) documents.push_back(0);
    const bool full = ++documents[row] == limits.max_documents;
    tree.set_room(row, full ? 0 : tree.room(row) - lengths[i]);
    row_of[i] = row;
  }
  PackPlan plan;
  plan.offsets.reserve(documents.size() + 1);
  std::vector<int64_t> place(documents.size());
  for (size_t row = 0; row < documents.size(); ++row) {
    place[row] = plan.offsets.back();
    plan.offsets.push_back(place[row] + documents[row]);
  }
  plan.order.resize(lengths.size());
  for (size_t i = 0; i < lengths.size(); ++i)
    plan.order[place[row_of[i]]++] = static_cast<int64_t>(i);
  return plan;
}

}  // namespace lockstep
