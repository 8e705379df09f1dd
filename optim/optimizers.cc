#include "optim/optimizers.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/errors.h"
#include "optim/adam.h"
#include "optim/sgd.h"

namespace lockstep {

namespace {

constexpr double kLargestFloat = 1e30;  // a number of the config that float32 can hold
const OneOf kImplementations{{"auto", "fused", "foreach", "reference"}};

}  // namespace

void AdamOptions::fields(FieldVisitor& visit) {
  visit("lr", lr, Range{0, kLargestFloat}, "learning rate before the schedule");
  visit("beta1", beta1, Range{0, 0.9999999}, "decay of the mean of gradients");
  visit("beta2", beta2, Range{0, 0.9999999}, "decay of the mean of squared gradients");
  visit("eps", eps, Range{0, kLargestFloat}, "added to the root of the squares");
  visit("weight_decay", weight_decay, Range{0, kLargestFloat},
        "adam: L2, added to the gradient; adamw: decoupled");
  visit("implementation", implementation, kImplementations, "which code runs the update");
  visit("groups", groups, "parameters with their own learning rate or decay, by name");
}

void SgdOptions::fields(FieldVisitor& visit) {
  visit("lr", lr, Range{0, kLargestFloat}, "learning rate before the schedule");
  visit("momentum", momentum, Range{0, kLargestFloat}, "share of the last direction that is kept");
  visit("dampening", dampening, Range{0, kLargestFloat},
        "share of the gradient that momentum leaves out");
  visit("weight_decay", weight_decay, Range{0, kLargestFloat}, "L2, added to the gradient");
  visit("nesterov", nesterov, "look ahead along the momentum");
  visit("implementation", implementation, kImplementations, "which code runs the update");
  visit("groups", groups, "parameters with their own learning rate or decay, by name");
}

Table<Optimizer, const ShardLayout&> optimizers() {
  Table<Optimizer, const ShardLayout&> table("optimizer");
  table.add<AdamWOptions>(
      "adamw", "Adam with decoupled weight decay",
      [](const AdamWOptions& o, const ShardLayout& shard) { return make_adam(o, true, shard); });
  table.add<AdamOptions>(
      "adam", "Adam, weight decay as L2",
      [](const AdamOptions& o, const ShardLayout& shard) { return make_adam(o, false, shard); });
  table.add<SgdOptions>(
      "sgd", "gradient descent with momentum",
      [](const SgdOptions& o, const ShardLayout& shard) { return make_sgd(o, shard); });
  return table;
}

Optimizer::Optimizer(const ShardLayout& shard, double lr, double weight_decay,
                     const std::vector<GroupOptions>& groups, ImplementationChoice choice)
    : shard_(shard),
      lr_(lr),
      settings_(resolve_groups(shard.arena(), groups, lr, weight_decay)),
      stretches_(make_stretches(shard.arena(), settings_)),
      choice_(std::move(choice)) {}

ArenaShard& Optimizer::add_state(const std::string& prefix) {
  states_.emplace_back(prefix + ".", std::make_unique<ArenaShard>(shard_));
  return *states_.back().second;
}

void Optimizer::step_on_device(Arena&, const Arena&, const DeviceTerms&) {
  throw EnvironmentError("this optimizer computes on CPUs alone",
                         "choose adamw, adam or sgd, or set run.device=cpu");
}

void Optimizer::to(at::Device device) {
  for (const auto& [prefix, values] : states_) values->to(device);
}

std::vector<at::Tensor> Optimizer::flat_states() const {
  std::vector<at::Tensor> result;
  for (const auto& [prefix, values] : states_) result.push_back(values->flat());
  return result;
}

NamedTensors Optimizer::state() const {
  NamedTensors result;
  for (const auto& [prefix, values] : states_)
    for (NamedTensor& tensor : values->named(prefix)) result.push_back(std::move(tensor));
  result.push_back({"updates", at::scalar_tensor(updates_, at::kLong)});
  return result;
}

NamedTensors Optimizer::gather_state(Communicator& comm) const {
  NamedTensors result;
  for (const auto& [prefix, values] : states_)
    for (NamedTensor& tensor : values->gather(comm, prefix)) result.push_back(std::move(tensor));
  if (comm.rank() == 0) result.push_back({"updates", at::scalar_tensor(updates_, at::kLong)});
  return result;
}

void Optimizer::load(const NamedTensors& state, const std::string& from) {
  for (const NamedTensor& tensor : state) {
    const bool known = tensor.name == "updates" ||
                       std::any_of(states_.begin(), states_.end(),
                                   [&](const auto& s) { return tensor.name.starts_with(s.first); });
    if (!known)
      throw CheckpointError(
          fmt::format("{} has a tensor '{}' that this optimizer lacks", from, tensor.name),
          "resume with the optimizer that the run started with, or start a new run with `init`");
  }
  const at::Tensor* updates = find_tensor(state, "updates");
  if (updates == nullptr || updates->scalar_type() != at::kLong || updates->numel() != 1 ||
      updates->item<int64_t>() < 0)
    throw CheckpointError(fmt::format("{} has no valid tensor 'updates' (i64 scalar)", from));
  for (const auto& [prefix, values] : states_) values->load(state, prefix, from);
  updates_ = updates->item<int64_t>();
}

void Optimizer::for_pieces(const ParallelFor& parallel,
                           const std::function<void(const Stretch&, int64_t, int64_t)>& fn) const {
  struct Piece {
    const Stretch* stretch;
    int64_t begin, end;
  };
  std::vector<Piece> pieces;
  for (const Stretch& stretch : stretches_)
    for (int64_t begin = stretch.begin; begin < stretch.end;) {
      const int64_t border =
          (begin / ArenaLayout::kBlockElements + 1) * ArenaLayout::kBlockElements;
      const int64_t end = std::min(border, stretch.end);
      if (shard_.owns(begin)) pieces.push_back({&stretch, begin, end});
      begin = end;
    }
  parallel(std::ssize(pieces),
           [&](int64_t i) { fn(*pieces[i].stretch, pieces[i].begin, pieces[i].end); });
}

const Arena& Optimizer::plain_gradients(const Arena& gradients, const GradientFactors& factors) {
  if (factors.multiplier == 1 && factors.clip == 1) return gradients;
  if (!scaled_) scaled_ = std::make_unique<Arena>(shard_.arena());
  at::mul_out(scaled_->flat(), gradients.flat(), at::scalar_tensor(factors.multiplier));
  scaled_->flat().mul_(factors.clip);
  return *scaled_;
}

void Optimizer::for_own_parameters(const Stretch& stretch,
                                   const std::function<void(int64_t, int64_t)>& fn) const {
  for (int64_t p = stretch.first_parameter; p <= stretch.last_parameter; ++p) {
    const ArenaEntry& entry = shard_.arena().entries[p];
    shard_.for_owned(shard_.rank(), entry.offset, entry.offset + entry.count, fn);
  }
}

std::vector<at::Tensor> Optimizer::flat_parts(const Arena& arena, const Stretch& stretch) const {
  std::vector<at::Tensor> result;
  shard_.for_owned(shard_.rank(), stretch.begin, stretch.end, [&](int64_t begin, int64_t end) {
    result.push_back(arena.flat().narrow(0, begin, end - begin));
  });
  return result;
}

std::vector<at::Tensor> Optimizer::flat_parts(const ArenaShard& state,
                                              const Stretch& stretch) const {
  std::vector<at::Tensor> result;
  shard_.for_owned(shard_.rank(), stretch.begin, stretch.end,
                   [&](int64_t begin, int64_t end) { result.push_back(state.range(begin, end)); });
  return result;
}

std::vector<at::Tensor> Optimizer::pieces(const Arena& arena, const Stretch& stretch) const {
  std::vector<at::Tensor> result;
  for_own_parameters(stretch, [&](int64_t begin, int64_t end) {
    result.push_back(arena.flat().narrow(0, begin, end - begin));
  });
  return result;
}

std::vector<at::Tensor> Optimizer::pieces(const ArenaShard& state, const Stretch& stretch) const {
  std::vector<at::Tensor> result;
  for_own_parameters(
      stretch, [&](int64_t begin, int64_t end) { result.push_back(state.range(begin, end)); });
  return result;
}

EmaFactors Optimizer::ema_factors(const UpdateTerms& terms, int64_t begin) {
  if (terms.ema == nullptr || !terms.ema_move) return {};
  return {terms.ema->data() + begin, terms.ema_move->copy, terms.ema_move->weight};
}

void Optimizer::move_ema(const Arena& weights, const UpdateTerms& terms, int64_t begin,
                         int64_t end) {
  const EmaFactors factors = ema_factors(terms, begin);
  if (factors.ema != nullptr) optimizer_kernels().ema(weights.data() + begin, end - begin, factors);
}

void Optimizer::move_own_ema(const Arena& weights, const UpdateTerms& terms) const {
  shard_.for_owned(shard_.rank(), 0, shard_.arena().size,
                   [&](int64_t begin, int64_t end) { move_ema(weights, terms, begin, end); });
}

}  // namespace lockstep
