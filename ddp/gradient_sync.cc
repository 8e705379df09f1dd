#include "ddp/gradient_sync.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "core/errors.h"
#include "ddp/gradient_buckets.h"
#include "ddp/gradient_hook.h"
#include "ddp/slot_threads.h"
#include "ddp/tree.h"
#include "ddp/tree_to_owners.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

// What a slot thread is computing. Touched by that thread alone (hooks on a CPU run on the
// thread that called backward).
struct ThreadState {
  std::vector<at::Tensor> parameters;
  int64_t slot = -1;
  bool last_micro_batch = false;
  std::vector<char> reported;  // per parameter, in this slot
};

}  // namespace

struct GradientSync::State {
  State(Communicator& comm_, const ArenaLayout& layout_, const GradientSyncOptions& options_)
      : comm(comm_), layout(layout_), options(options_), tree(comm_, options_.num_slots) {
    if (options.shard && !options.shard->whole() && options.tree)
      to_owners.emplace(comm, options.num_slots, *options.shard);
  }

  Communicator& comm;
  const ArenaLayout& layout;
  const GradientSyncOptions options;
  TreeReduction tree;
  std::optional<TreeToOwners> to_owners;
  std::vector<Arena> slots;  // one gradient arena per local slot
  std::vector<ThreadState> threads;
  std::vector<Bucket> buckets;
  std::vector<std::string> bucket_names;
  std::vector<int64_t> bucket_of_parameter;
  GradientSyncStats stats;

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::vector<int64_t> missing;  // gradients that a bucket still waits for, over local slots
  int64_t open_slots = 0;        // local slots that have not ended
  int64_t exchanged = 0;         // buckets done in this step
  bool in_step = false;
  bool gate = false;  // the communication thread may start
  bool ending = false;
  std::exception_ptr error;
  std::thread communication;  // started last, joined first

  void collect(ThreadState& thread, size_t parameter);
  void report(ThreadState& thread, int64_t parameter);
  void exchange_buckets();
  void exchange(int64_t bucket);
  void check_views(const ThreadState& thread) const;
};

namespace {

void check_replica(const std::vector<at::Tensor>& parameters, const ArenaLayout& layout) {
  if (parameters.size() != layout.entries.size())
    throw ConfigError(fmt::format("a replica has {} parameters, the layout {}", parameters.size(),
                                  layout.entries.size()));
  for (size_t i = 0; i < parameters.size(); ++i) {
    const ArenaEntry& entry = layout.entries[i];
    if (!parameters[i].is_leaf() || !parameters[i].is_floating_point())
      throw ConfigError(fmt::format("parameter '{}' is no leaf of floating point", entry.name));
    if (parameters[i].sizes() != at::IntArrayRef(entry.shape))
      throw ConfigError(fmt::format("parameter '{}' is {}, the layout says {}", entry.name,
                                    fmt::join(parameters[i].sizes().vec(), "x"),
                                    fmt::join(entry.shape, "x")));
  }
}

}  // namespace

GradientSync::GradientSync(Communicator& comm, const ArenaLayout& layout,
                           std::vector<std::vector<at::Tensor>> replicas,
                           const GradientSyncOptions& options)
    : state_(std::make_unique<State>(comm, layout, options)) {
  State& s = *state_;
  for (const auto& parameters : replicas) check_replica(parameters, layout);
  for (int64_t i = 0; i < s.tree.local().count(); ++i) s.slots.emplace_back(layout);
  s.buckets = make_buckets(layout, options.bucket_bytes, options.first_bucket_bytes);
  s.bucket_of_parameter.resize(layout.entries.size());
  for (size_t b = 0; b < s.buckets.size(); ++b) {
    s.bucket_names.push_back(fmt::format("gradients, bucket {}", b));
    for (int64_t p = s.buckets[b].first_parameter; p <= s.buckets[b].last_parameter; ++p)
      s.bucket_of_parameter[p] = static_cast<int64_t>(b);
  }
  s.stats.buckets = static_cast<int64_t>(s.buckets.size());
  for (auto& parameters : replicas) s.threads.push_back({std::move(parameters), -1, false, {}});
  for (ThreadState& thread : s.threads)
    for (size_t p = 0; p < thread.parameters.size(); ++p)
      on_gradient(thread.parameters[p], [&s, &thread, p] {
        s.collect(thread, p);
        if (thread.last_micro_batch) s.report(thread, static_cast<int64_t>(p));
      });
  s.communication = std::thread([&s] {
    set_up_compute_thread();
    s.exchange_buckets();
  });
}

GradientSync::~GradientSync() {
  State& s = *state_;
  {
    std::lock_guard lock(s.mutex);
    if (s.in_step) s.comm.cancel();
    s.ending = true;
  }
  s.changed.notify_all();
  s.communication.join();
  for (ThreadState& thread : s.threads)
    for (const at::Tensor& parameter : thread.parameters) forget_gradient(parameter);
}

int64_t GradientSync::local_slots() const { return state_->tree.local().count(); }
Arena& GradientSync::gradients() { return state_->slots.at(0); }
const GradientSyncStats& GradientSync::stats() const { return state_->stats; }

void GradientSync::begin_step() {
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  if (s.in_step) throw InternalError("a step of the gradient exchange is already under way");
  s.missing.clear();
  for (const Bucket& bucket : s.buckets) s.missing.push_back(bucket.parameters() * local_slots());
  s.open_slots = local_slots();
  s.exchanged = 0;
  s.stats.early_buckets = 0;
  s.in_step = true;
  s.gate = s.options.overlap;
  s.changed.notify_all();
}

void GradientSync::begin_slot(int thread_index, int64_t slot) {
  ThreadState& thread = state_->threads.at(thread_index);
  Arena& arena = state_->slots.at(slot);
  std::memset(arena.data(), 0, static_cast<size_t>(state_->layout.size) * sizeof(float));
  thread.slot = slot;
  thread.last_micro_batch = false;
  thread.reported.assign(thread.parameters.size(), 0);
  for (size_t p = 0; p < thread.parameters.size(); ++p)
    if (is_float32(thread.parameters[p])) thread.parameters[p].mutable_grad() = arena.views()[p];
}

void GradientSync::begin_micro_batch(int thread, bool last) {
  state_->threads.at(thread).last_micro_batch = last;
}

void GradientSync::end_slot(int thread_index) {
  State& s = *state_;
  ThreadState& thread = s.threads.at(thread_index);
  s.check_views(thread);
  for (size_t p = 0; p < thread.parameters.size(); ++p) s.report(thread, static_cast<int64_t>(p));
  thread.last_micro_batch = false;
  std::lock_guard lock(s.mutex);
  if (--s.open_slots == 0) s.changed.notify_all();
}

void GradientSync::finish() {
  State& s = *state_;
  const auto start = Clock::now();
  std::unique_lock lock(s.mutex);
  if (!s.in_step || s.open_slots != 0)
    throw InternalError("finish() of the gradient exchange before all slots ended");
  s.gate = true;
  s.changed.notify_all();
  s.changed.wait(lock, [&] { return s.error || s.exchanged == s.stats.buckets; });
  s.stats.exposed_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (s.error) std::rethrow_exception(s.error);
  s.in_step = false;
}

// A low-precision parameter's gradient comes in a tensor of its own; a float32 one lies in the
// arena already.
void GradientSync::State::collect(ThreadState& thread, size_t parameter) {
  at::Tensor& leaf = thread.parameters[parameter];
  if (is_float32(leaf)) return;
  slots[thread.slot].views()[parameter].add_(leaf.grad());
  leaf.mutable_grad().reset();
}

// Counts a gradient of the last micro-batch once per slot.
void GradientSync::State::report(ThreadState& thread, int64_t parameter) {
  if (thread.reported[parameter]) return;
  thread.reported[parameter] = 1;
  std::lock_guard lock(mutex);
  if (--missing[bucket_of_parameter[parameter]] == 0) changed.notify_all();
}

void GradientSync::State::check_views(const ThreadState& thread) const {
  for (size_t p = 0; p < thread.parameters.size(); ++p) {
    if (!is_float32(thread.parameters[p])) continue;
    const at::Tensor& gradient = thread.parameters[p].grad();
    const at::Tensor& view = slots[thread.slot].views()[p];
    if (!gradient.defined() || gradient.data_ptr() != view.data_ptr())
      throw InternalError(
          fmt::format("the gradient of '{}' left its arena", layout.entries[p].name),
          "backward must run without create_graph and nothing may reset gradients");
  }
}

// The communication thread.
void GradientSync::State::exchange_buckets() {
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [&] {
      return ending ||
             (in_step && gate && !error && exchanged < stats.buckets && missing[exchanged] == 0);
    });
    if (ending) return;
    const int64_t next = exchanged;
    stats.early_buckets += open_slots > 0;
    lock.unlock();
    std::exception_ptr thrown;
    try {
      exchange(next);
    } catch (...) {
      thrown = std::current_exception();
    }
    lock.lock();
    if (thrown) error = thrown;
    exchanged = next + 1;
    if (error || exchanged == stats.buckets) changed.notify_all();
  }
}

void GradientSync::State::exchange(int64_t index) {
  const Bucket& bucket = buckets[index];
  const int64_t count = bucket.end - bucket.begin;
  std::vector<float*> parts;
  for (Arena& arena : slots) parts.push_back(arena.data() + bucket.begin);
  if (to_owners) {
    std::vector<float*> arenas;
    for (Arena& arena : slots) arenas.push_back(arena.data());
    return to_owners->sum(arenas, bucket.begin, bucket.end, bucket_names[index]);
  }
  if (options.tree) return tree.sum<float>(parts, count, bucket_names[index]);
  tree.sum_local<float>(parts, count);
  comm.all_reduce(parts[0], static_cast<size_t>(count), bucket_names[index]);
}

}  // namespace lockstep
