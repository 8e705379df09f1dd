// Adds up slot buffers over all ranks in the order of the tree (slots.h), so that every number
// of ranks gives the same bits (design.md 3, rule 4).
//
// Whole nodes of the tree lie on one rank and are added there. With n and S powers of two the
// ranks go on in pairs r^1, r^2, r^4 …: small buffers are exchanged whole, large ones by vector
// halving with distance doubling, then gathered back the same way; the pairing, hence the bits,
// is the same. Otherwise the owner of a node's first slot receives the right operand, and the
// root sends the sum to all.
//
// Source of the halving scheme: Rabenseifner, "Optimization of Collective Reduction Operations",
// ICCS 2004; Thakur et al., "Optimization of Collective Communication Operations in MPICH",
// IJHPCA 2005, 4.5 (theirs starts with the farthest partner; ours with the nearest, for the tree).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ddp/communicator.h"
#include "ddp/slots.h"

namespace lockstep {

class TreeReduction {
 public:
  // `comm` outlives this object. Throws ConfigError if there are fewer slots than ranks.
  TreeReduction(Communicator& comm, int64_t num_slots);

  int64_t num_slots() const { return num_slots_; }
  // The slots of this rank.
  SlotRange local() const { return local_; }

  // Collective. `slots[i]` holds `count` numbers of local slot i. Afterwards slots[0] holds the
  // sum over all slots on every rank; the others hold partial sums. T is float or double.
  template <class T>
  void sum(std::span<T* const> slots, int64_t count, const std::string& what);

  // Adds the local slots into slots[0] by Tree over the local range, without communicating.
  template <class T>
  void sum_local(std::span<T* const> slots, int64_t count);

  // Buffers above this are halved, smaller ones exchanged whole (latency counts there).
  static constexpr int64_t kWholeBytes = 64 * 1024;

 private:
  template <class T>
  T* scratch(int64_t count);
  template <class T>
  void sum_pairs(T* data, int64_t count, const std::string& what);
  template <class T>
  void sum_by_halving(T* data, int64_t count, const std::string& what);
  template <class T>
  void sum_by_owners(std::span<T* const> slots, int64_t lo, int64_t hi, int64_t count,
                     const std::string& what);

  Communicator& comm_;
  const int64_t num_slots_;
  const SlotRange local_;
  std::unique_ptr<std::byte[]> scratch_;
  size_t scratch_bytes_ = 0;
};

// Adds a node of the tree into parts[0], without communicating; parts[i] holds `count` numbers of
// slot node.begin + i. T is float or double.
template <class T>
void sum_node(std::span<T* const> parts, const SlotRange& node, int64_t count);

// What a step adds up beside the gradients, in one small message (design.md 3, rules 6 and 14).
struct StepTotals {
  double loss_sum = 0;
  double count = 0;
  double non_finite = 0;  // slots whose loss or gradients were not finite
  double stop = 0;        // ranks that were asked to stop
  double correct = 0;     // predictions that hit …
  double guesses = 0;     // … of how many (0: the task counts none)

  StepTotals operator+(const StepTotals& o) const {
    return {loss_sum + o.loss_sum, count + o.count,     non_finite + o.non_finite,
            stop + o.stop,         correct + o.correct, guesses + o.guesses};
  }
  bool operator==(const StepTotals&) const = default;
};

// Collective. The totals over all slots by Tree; `mine` holds one entry per local slot.
StepTotals sum_totals(TreeReduction& tree, std::span<const StepTotals> mine);

}  // namespace lockstep
