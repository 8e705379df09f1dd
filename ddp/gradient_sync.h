// Adds up the gradients of all slots of all ranks while the backward passes are still running.
//
// Every local slot has its own gradient arena (memory: local slots × parameters × 4 bytes). The
// gradients of a replica's parameters are preset to views into the arena of the slot that the
// thread is computing, so autograd accumulates in place and micro-batches of a slot add left to
// right in float32 (gradients of low-precision parameters are added to that arena by the hooks).
// Hooks report each gradient of the last micro-batch. When the last local slot has all gradients of
// a bucket, the one communication thread, the only one that talks to other ranks, adds that range
// of the arenas by the tree (tree.h). Buckets go in one fixed order on all ranks; parameters that a
// loss does not use count as ready when their slot ends, with zeros.
//
// A step, from the training thread:
//     sync.begin_step();
//     threads.run(local slots, [&](int thread, int64_t slot) {
//       sync.begin_slot(thread, slot);
//       for (each micro-batch) { sync.begin_micro_batch(thread, last); loss.backward(); }
//       sync.end_slot(thread);
//     });
//     sync.finish();   // then sync.gradients() holds the sum, equal on all ranks
//
// With `shard` each rank gets the sum of its own blocks only (tree_to_owners.h).
//
// Source: Li et al., "PyTorch Distributed", VLDB 2020, 3.2, arXiv:2006.15704.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "ddp/arena.h"
#include "ddp/communicator.h"
#include "ddp/shard_layout.h"
#include "ddp/slots.h"

namespace lockstep {

struct GradientSyncOptions {
  int64_t num_slots = 1;  // S, over all ranks
  bool tree = true;       // false: local tree, then the library's all-reduce
  bool overlap = true;    // false: everything is exchanged inside finish()
  int64_t bucket_bytes = int64_t{25} << 20;
  int64_t first_bucket_bytes = int64_t{1} << 20;
  std::optional<ShardLayout> shard;  // set: a rank needs the sum of its own blocks only
};

// How the last step's exchange went.
struct GradientSyncStats {
  int64_t buckets = 0;
  int64_t early_buckets = 0;   // exchanges begun before this rank's last slot ended
  double exposed_seconds = 0;  // finish() waited so long
};

class GradientSync {
 public:
  // `replicas[t]`: the parameters of slot thread t's replica, in layout order. Installs a hook and
  // a gradient in each. `comm` and `layout` outlive this object. Throws ConfigError for a parameter
  // that is no floating-point leaf or differs from the layout.
  GradientSync(Communicator& comm, const ArenaLayout& layout,
               std::vector<std::vector<at::Tensor>> replicas, const GradientSyncOptions& options);
  // Removes the hooks. Never communicates; if a step is under way (an exception unwinds), it
  // cancels the communicator, so that the communication thread ends: peers learn of it when the
  // caller aborts.
  ~GradientSync();
  GradientSync(const GradientSync&) = delete;
  GradientSync& operator=(const GradientSync&) = delete;

  int64_t local_slots() const;

  // Training thread, collective in the sense that all ranks do the same steps.
  void begin_step();
  // Slot threads. `slot` counts from 0 on this rank. Clears the slot's gradients.
  void begin_slot(int thread, int64_t slot);
  void begin_micro_batch(int thread, bool last);
  // Throws InternalError if a gradient was replaced instead of accumulated in place.
  void end_slot(int thread);
  // Training thread. Waits for all exchanges; an error of the communication thread is rethrown
  // here.
  void finish();

  // After finish(): the sum over all slots; with `shard` its own blocks only, the others are
  // spoilt. Belongs to this object until the next begin_step(); may be changed in place (gradients
  // are scaled and clipped there).
  Arena& gradients();
  const GradientSyncStats& stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
