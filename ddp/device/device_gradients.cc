#include "ddp/device/device_gradients.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "ddp/gradient_hook.h"

namespace lockstep {
namespace {}  // namespace

DeviceGradients::DeviceGradients(DeviceCommunicator& comm, Device& device, DeviceQueue& compute,
                                 const ArenaLayout& layout, std::vector<at::Tensor> parameters,
                                 const GradientSyncOptions& options)
    : comm_(comm),
      compute_(compute),
      layout_(layout),
      parameters_(std::move(parameters)),
      options_(options),
      local_(slots_of_rank(options.num_slots, comm.size(), comm.rank())),
      queue_(device.make_queue()),
      buckets_(make_buckets(layout, options.bucket_bytes, options.first_bucket_bytes)),
      bucket_of_(layout.entries.size()) {
  if (parameters_.size() != layout.entries.size())
    throw InternalError("the replica is not the layout's");
  const bool sharded = options.shard && !options.shard->whole();
  if (options.tree && sharded)
    to_owners_.emplace(comm, *queue_, options.num_slots, *options.shard);
  else if (options.tree)
    tree_.emplace(comm, *queue_, options.num_slots);
  for (int64_t i = 0; i < (options.tree ? local_.count() : 1); ++i)
    slots_.emplace_back(layout, device.where());
  for (size_t b = 0; b < buckets_.size(); ++b)
    for (int64_t p = buckets_[b].first_parameter; p <= buckets_[b].last_parameter; ++p)
      bucket_of_[static_cast<size_t>(p)] = static_cast<int64_t>(b);
  for (size_t p = 0; p < parameters_.size(); ++p)
    on_gradient(parameters_[p], [this, p] {
      collect(p);
      if (!last_) return;
      report(p);
      if (options_.overlap) exchange_ready(false);
    });
}

DeviceGradients::~DeviceGradients() {
  for (const at::Tensor& parameter : parameters_) forget_gradient(parameter);
}

void DeviceGradients::begin_step() {
  compute_.run([&] {
    for (Arena& arena : slots_) arena.flat().zero_();
  });
  reported_.assign(parameters_.size(), 0);
  missing_.clear();
  for (const Bucket& bucket : buckets_) missing_.push_back(bucket.parameters());
  exchanged_ = 0;
  early_ = 0;
  last_ = false;
}

void DeviceGradients::begin_slot(int64_t slot) {
  slot_ = slot;
  const std::vector<at::Tensor>& views = current().views();
  for (size_t p = 0; p < parameters_.size(); ++p)
    if (is_float32(parameters_[p])) parameters_[p].mutable_grad() = views[p];
}

// A low-precision parameter's gradient comes in a tensor of its own; a float32 one lies in the
// arena already.
void DeviceGradients::collect(size_t parameter) {
  const at::Tensor& leaf = parameters_[parameter];
  if (is_float32(leaf)) return;
  const at::NoGradGuard no_grad;
  current().views()[parameter].add_(leaf.grad());
  leaf.mutable_grad().reset();
}

void DeviceGradients::report(size_t parameter) {
  if (reported_[parameter]) return;
  reported_[parameter] = 1;
  --missing_[static_cast<size_t>(bucket_of_[parameter])];
}

void DeviceGradients::exchange_ready(bool all) {
  while (exchanged_ < buckets_.size() && (all || missing_[exchanged_] == 0)) {
    if (!all) ++early_;
    exchange(buckets_[exchanged_], static_cast<int64_t>(exchanged_));
    ++exchanged_;
  }
}

void DeviceGradients::exchange(const Bucket& bucket, int64_t number) {
  if (comm_.size() == 1 && slots_.size() == 1) return;
  queue_->wait(*compute_.mark());
  const std::string what = fmt::format("gradients, bucket {}", number);
  const int64_t count = bucket.end - bucket.begin;
  if (to_owners_) {
    std::vector<at::Tensor> arenas;
    for (const Arena& arena : slots_) arenas.push_back(arena.flat());
    return to_owners_->sum(arenas, bucket.begin, bucket.end, what);
  }
  if (!tree_ && options_.shard && !options_.shard->whole())
    return comm_.reduce_to_owners(
        owned_ranges(*options_.shard, slots_.front().flat(), bucket.begin, bucket.end), *queue_,
        what);
  if (!tree_)
    return comm_.all_reduce(slots_.front().flat().narrow(0, bucket.begin, count), *queue_, what);
  std::vector<at::Tensor> parts;
  for (const Arena& arena : slots_) parts.push_back(arena.flat().narrow(0, bucket.begin, count));
  tree_->sum(parts, what);
}

void DeviceGradients::finish(const std::function<void()>& also) {
  for (size_t p = 0; p < parameters_.size(); ++p) {
    if (!is_float32(parameters_[p])) continue;
    const at::Tensor& gradient = parameters_[p].grad();
    if (!gradient.defined() || gradient.data_ptr() != current().views()[p].data_ptr())
      throw InternalError(
          fmt::format("the gradient of '{}' left its arena", layout_.entries[p].name),
          "backward must run without create_graph and nothing may reset gradients");
  }
  last_ = false;
  exchange_ready(true);
  if (comm_.size() == 1 && slots_.size() == 1) return;
  queue_->wait(*compute_.mark());
  if (also) also();
  compute_.wait(*queue_->mark());
}

}  // namespace lockstep
