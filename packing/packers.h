// Packers: which documents share a row of a batch.
//
// A packer is a pure function of lengths: equal lengths and limits give equal plans on every
// machine and for every number of threads. A new one is a new .cc, its line below, and its row in
// packers.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lockstep {

struct PackLimits {
  int64_t capacity = 0;       // tokens of a row, 1 to 2^31 − 1
  int64_t max_documents = 0;  // of a row; 0: as many as fit
};

// Row r holds the documents order[offsets[r]] … order[offsets[r + 1] − 1], in this order.
struct PackPlan {
  std::vector<int64_t> order;       // every index of `lengths` once
  std::vector<int64_t> offsets{0};  // rows + 1
  int64_t rows() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

// At most 2^32 − 1 lengths, each from 1 to capacity. Uses up to `threads` threads where that helps.
using Pack = PackPlan (*)(std::span<const int32_t> lengths, const PackLimits& limits, int threads);

struct Packer {
  const char* name;
  const char* doc;
  Pack pack;
};

const std::vector<Packer>& packers();
// Throws ConfigError with the nearest name.
const Packer& find_packer(const std::string& name);

// Runs a packer. Throws DataError for a length outside 1 … capacity or too many lengths,
// ConfigError for limits out of range.
PackPlan make_plan(const Packer& packer, std::span<const int32_t> lengths, const PackLimits& limits,
                   int threads = 1);

// No plan has fewer rows: the larger of ⌈Σ length / capacity⌉ and the number of documents longer
// than half a row.
int64_t lower_bound_of_rows(std::span<const int32_t> lengths, int64_t capacity);

// The packers. The longest documents first, each into the fullest row that has room.
PackPlan pack_best_fit_decreasing(std::span<const int32_t>, const PackLimits&, int threads);
// In the given order, each into the oldest row that has room.
PackPlan pack_first_fit(std::span<const int32_t>, const PackLimits&, int threads);
// In the given order; a document that does not fit opens a row and closes the one before.
PackPlan pack_next_fit(std::span<const int32_t>, const PackLimits&, int threads);
// One document a row.
PackPlan pack_none(std::span<const int32_t>, const PackLimits&, int threads);

}  // namespace lockstep
