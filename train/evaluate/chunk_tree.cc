#include "train/evaluate/chunk_tree.h"

#include <ATen/ATen.h>

#include "core/errors.h"
#include "ddp/slots.h"

namespace lockstep {
namespace {

// left + right, in the place of `into`, which is one of them.
void add_into(std::vector<double>& into, const std::vector<double>& left,
              const std::vector<double>& right) {
  if (left.size() != right.size()) throw InternalError("an evaluation's sums differ in length");
  for (size_t i = 0; i < into.size(); ++i) into[i] = left[i] + right[i];
}

void add_into(at::Tensor& into, const at::Tensor& left, const at::Tensor& right) {
  if (left.sizes() != right.sizes()) throw InternalError("an evaluation's sums differ in length");
  at::add_out(into, left, right);
}

}  // namespace

template <class Sums>
void ChunkTree<Sums>::add(int64_t lo, int64_t hi, Sums sums) {
  // The nodes above, from the root down.
  std::vector<std::pair<int64_t, int64_t>> above;
  for (std::pair<int64_t, int64_t> node{0, chunks_}; node != std::pair{lo, hi};) {
    if (node.second - node.first < 2)
      throw InternalError("an evaluation's sums are of no node of the tree");
    above.push_back(node);
    const int64_t middle = tree_split(node.first, node.second);
    if (lo < middle)
      node.second = middle;
    else
      node.first = middle;
  }
  std::pair<int64_t, int64_t> node{lo, hi};
  for (; !above.empty(); above.pop_back()) {
    const auto [first, last] = above.back();
    const int64_t middle = tree_split(first, last);
    const bool is_left = node.first == first;
    const auto other = nodes_.find(is_left ? std::pair{middle, last} : std::pair{first, middle});
    if (other == nodes_.end()) break;
    if (is_left)
      add_into(sums, sums, other->second);
    else
      add_into(sums, other->second, sums);
    nodes_.erase(other);
    node = {first, last};
  }
  if (!nodes_.emplace(node, std::move(sums)).second)
    throw InternalError("an evaluation's chunk came twice");
}

template <class Sums>
Sums ChunkTree<Sums>::take_root() {
  const auto root = nodes_.find({0, chunks_});
  if (root == nodes_.end()) throw InternalError("an evaluation's chunks are not complete");
  Sums sums = std::move(root->second);
  nodes_.erase(root);
  return sums;
}

template class ChunkTree<std::vector<double>>;
template class ChunkTree<at::Tensor>;

}  // namespace lockstep
