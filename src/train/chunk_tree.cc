#include "train/chunk_tree.h"

#include "core/errors.h"
#include "ddp/slots.h"

namespace lockstep {

void ChunkTree::add(int64_t lo, int64_t hi, std::vector<double> sums) {
  // The nodes above, from the root down.
  std::vector<std::pair<int64_t, int64_t>> above;
  for (std::pair<int64_t, int64_t> node{0, chunks_}; node != std::pair{lo, hi};) {
    if (node.second - node.first < 2) throw InternalError("an evaluation's sums are of no node of the tree");
    above.push_back(node);
    const int64_t middle = tree_split(node.first, node.second);
    if (lo < middle) node.second = middle;
    else node.first = middle;
  }
  std::pair<int64_t, int64_t> node{lo, hi};
  for (; !above.empty(); above.pop_back()) {
    const auto [first, last] = above.back();
    const int64_t middle = tree_split(first, last);
    const bool is_left = node.first == first;
    const auto other = nodes_.find(is_left ? std::pair{middle, last} : std::pair{first, middle});
    if (other == nodes_.end()) break;
    if (other->second.size() != sums.size()) throw InternalError("an evaluation's sums differ in length");
    const std::vector<double>& left = is_left ? sums : other->second;
    const std::vector<double>& right = is_left ? other->second : sums;
    for (size_t i = 0; i < sums.size(); ++i) sums[i] = left[i] + right[i];
    nodes_.erase(other);
    node = {first, last};
  }
  if (!nodes_.emplace(node, std::move(sums)).second) throw InternalError("an evaluation's chunk came twice");
}

std::vector<double> ChunkTree::take_root() {
  const auto root = nodes_.find({0, chunks_});
  if (root == nodes_.end()) throw InternalError("an evaluation's chunks are not complete");
  std::vector<double> sums = std::move(root->second);
  nodes_.erase(root);
  return sums;
}

}  // namespace lockstep
