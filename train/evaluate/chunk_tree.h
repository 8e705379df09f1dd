// Sums added up by Tree over chunks (design rule 12), as chunks are done, in any order.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace lockstep {

// Holds the sums of the finished nodes whose siblings are not finished yet: numbers on the host, or
// a tensor where a device computed them, which gives the same bits. One thread at a time.
template <class Sums>
class ChunkTree {
 public:
  explicit ChunkTree(int64_t chunks) : chunks_(chunks) {}
  // Sums of the tree's node over chunks [lo, hi): one chunk, or a node that another rank has
  // finished. Merges upwards while it can. All sums have one length.
  void add(int64_t lo, int64_t hi, Sums sums);
  // What is there, from left to right.
  const std::map<std::pair<int64_t, int64_t>, Sums>& nodes() const { return nodes_; }
  // The sums of all chunks. Throws InternalError if some are missing.
  Sums take_root();

 private:
  int64_t chunks_;
  std::map<std::pair<int64_t, int64_t>, Sums> nodes_;
};

extern template class ChunkTree<std::vector<double>>;
extern template class ChunkTree<at::Tensor>;

}  // namespace lockstep
