// Makes what a rank trains with. The order matters: ranks compare config, data and weights before
// anything is loaded, the checkpoint (or `init`) then replaces the weights, and low-precision
// copies come last, when the float32 weights are final.
#include "train/session.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/version.h>

#include "core/files.h"
#include "core/log.h"
#include "core/version.h"
#include "ddp/start_check.h"
#include "tensor/safetensors.h"
#include "train/initial_weights.h"
#include "train/plan/identity.h"

namespace lockstep {
namespace {

NamedTensors copies(const Arena& arena) {
  NamedTensors out = arena.named();
  for (NamedTensor& entry : out) entry.tensor = entry.tensor.clone();
  return out;
}

}  // namespace

Session::Session(LoadedConfig loaded, RunPlan plan, RankPlace place,
                 std::unique_ptr<Communicator> communicator, std::unique_ptr<Device> device)
    : loaded_(std::move(loaded)),
      plan_(std::move(plan)),
      place_(std::move(place)),
      communicator_(std::move(communicator)),
      device_(device ? std::move(device) : make_cpu_device()) {
  train_data_ = open_data(kinds(), config(), config().data.train);
  if (!config().data.validation.empty())
    validation_data_ = open_data(kinds(), config(), config().data.validation);
  task_ = kinds().tasks.make(config().task);
  task_->check(*train_data_);
  make_models();
  compare_ranks();
  restore();
}

void Session::make_models() {
  const auto seed = static_cast<uint64_t>(config().run.seed);
  for (int64_t i = 0; i < plan_.threads_per_rank; ++i) {
    replicas_.push_back(task_->make_model(seed));
    evaluation_replicas_.push_back(task_->make_model(seed));
  }
  layout_ = ArenaLayout::of(replicas_.front()->parameters());
  weights_ = std::make_unique<Arena>(layout_, device_->where());
  weights_->load(replicas_.front()->parameters(), "", "the initial weights");
  if (config().train.ema.decay > 0) {
    ema_ = std::make_unique<Arena>(layout_, device_->where());
    ema_->flat().copy_(weights_->flat());
  }
  if (!device_->is_cpu())
    for (const auto* models : {&replicas_, &evaluation_replicas_})
      for (const auto& model : *models) model->to(device_->where());
  for (const auto& replica : replicas_) replica->alias_parameters(weights_->views());
  for (const auto& replica : evaluation_replicas_)
    replica->alias_parameters((ema_ ? *ema_ : *weights_).views());
  shard_ = config().ddp.shard_optimizer
               ? ShardLayout(layout_, communicator_->size(), communicator_->rank())
               : ShardLayout(layout_);
  optimizer_ = kinds().optimizers.make(config().optimizer, *shard_);
  optimizer_->to(device_->where());
  if (device_->is_cpu()) log_info(optimizer_->choice());
  // Frozen parameters get no gradient, so that they do not count in the norm either.
  for (const auto& replica : replicas_)
    for (size_t i = 0; i < layout_.entries.size(); ++i)
      if (optimizer_->frozen(static_cast<int64_t>(i)))
        replica->parameters()[i].tensor.set_requires_grad(false);
  state_.seed = config().run.seed;
  state_.slots = plan_.slots;
  state_.isa = plan_.isa;
  state_.config_hash = plan_.config_hash;
  state_.identity = identity_json(*loaded_.config);
  state_.train_hash = train_data_->content_hash();
}

void Session::make_low_precision_weights() {
  const Precision precision = precision_of(config().precision.compute);
  if (!precision.low_weights) return;
  low_weights_ = std::make_unique<LowPrecisionWeights>(layout_, precision.dtype, device_->where());
  for (const auto& replica : replicas_) replica->alias_parameters(low_weights_->views());
  refresh_low_precision_weights();
}

void Session::refresh_low_precision_weights() {
  if (low_weights_) low_weights_->refresh(*weights_);
}

void Session::compare_ranks() {
  const std::string same_program = "install the same version on all nodes";
  check_start(*communicator_,
              {{"config hash", plan_.config_hash, "start all ranks with the same config"},
               {"program version", kVersion, same_program},
               {"LibTorch version", TORCH_VERSION, same_program},
               {"instruction set", probe_machine().isa + ", uses " + plan_.isa,
                "set run.cpu_isa=avx2 for mixed machines"},
               {"training data", train_data_->content_hash(), "all ranks must see the same shards"},
               parameters_fact(layout_),
               weights_fact(*weights_)});
}

void Session::restore() {
  // Rank 0 chooses, so that all ranks load the same one.
  std::string chosen;
  if (is_first()) {
    const auto newest = newest_good_checkpoint(place_.folder);
    if (newest) chosen = newest->string();
  }
  chosen = all_gather_strings(*communicator_, chosen, "choice of checkpoint").front();
  if (!chosen.empty()) {
    const CheckpointContent content = load_checkpoint(chosen);
    with_context("loading " + chosen, [&] { load(content, chosen); });
    if (is_first()) log_info(fmt::format("resumed from {} at step {}", chosen, state_.step));
  } else {
    start_fresh();
  }
  make_low_precision_weights();
  check_start(*communicator_,
              {weights_fact(*weights_),
               {"step", std::to_string(state_.step), "all ranks must see the same run folder"}});
}

void Session::start_fresh() {
  task_->initialise(*replicas_.front());
  if (!config().init.from.empty()) {
    NamedTensors optimizer_state;
    const InitReport report =
        apply_initial_weights(config().init, *replicas_.front(), &optimizer_state);
    if (!optimizer_state.empty()) optimizer_->load(optimizer_state, report.source);
    if (is_first()) log_info(report.text());
  }
  if (ema_) ema_->flat().copy_(weights_->flat());
}

// A run goes on with the config, the data and the arithmetic that its checkpoint was written with:
// anything else would give other bits without a word.
void Session::expect_own_checkpoint(const TrainState& was, const std::string& from) const {
  const Place place{from, 0, 0, ""};
  const std::string help =
      "put back what the run started with; to go on from its weights on purpose, start a new run: "
      "init.from=" +
      from;
  const auto refuse = [&](const std::string& what, const std::string& before,
                          const std::string& now) {
    throw CheckpointError(
        fmt::format("the checkpoint was written with {} {}, this run has {}", what, before, now),
        help, place);
  };
  if (was.slots != state_.slots)
    refuse("slots", std::to_string(was.slots), std::to_string(state_.slots));
  if (was.isa != state_.isa) refuse("instruction set", was.isa, state_.isa);
  if (was.seed != state_.seed)
    refuse("seed", std::to_string(was.seed), std::to_string(state_.seed));
  if (was.identity.empty()) {
    if (was.config_hash != state_.config_hash)
      refuse("the config of hash", was.config_hash, state_.config_hash);
  } else {
    std::string changed;
    for (const std::string& difference : differences_of_identity(was.identity, state_.identity))
      changed += "\n  " + difference;
    if (!changed.empty())
      throw CheckpointError("the checkpoint was written with another config:" + changed, help,
                            place);
  }
  if (was.train_hash != state_.train_hash)
    throw DataError(fmt::format("the training data have the hash {}, those that the checkpoint was "
                                "written with had {}",
                                state_.train_hash, was.train_hash),
                    "restore the shards (`lockstep data verify` finds damage); " + help, place);
}

void Session::load(const CheckpointContent& content, const std::string& from) {
  expect_own_checkpoint(content.state, from);
  weights_->load(content.model, "", from);
  if (ema_) ema_->load(content.ema, "", from);
  optimizer_->load(content.optimizer, from);
  const TrainState ours = state_;
  state_ = content.state;
  state_.config_hash = ours.config_hash;  // train.steps may have grown
  state_.identity = ours.identity;
}

std::vector<Model*> Session::replicas() const {
  std::vector<Model*> out;
  for (const auto& replica : replicas_) out.push_back(replica.get());
  return out;
}

std::vector<Model*> Session::evaluation_replicas() const {
  std::vector<Model*> out;
  for (const auto& replica : evaluation_replicas_) out.push_back(replica.get());
  return out;
}

CheckpointContent Session::snapshot() {
  CheckpointContent content;
  if (!device_->is_cpu()) {
    device_->synchronize();
    NamedTensors shares;
    if (!shard_->whole()) shares = optimizer_->gather_state(*communicator_);
    if (!is_first()) return {};
    if (!copies_) copies_ = std::make_unique<HostCopies>(*device_);
    NamedTensors model = weights_->named();
    for (const NamedTensor& buffer : replicas_.front()->buffers()) model.push_back(buffer);
    content.model = copies_->take(model);
    if (ema_) content.ema = copies_->take(ema_->named());
    content.optimizer = shard_->whole() ? copies_->take(optimizer_->state()) : std::move(shares);
    content.state = state_;
    content.ready = [done = copies_->done()] { done->wait_on_host(); };
    return content;
  }
  content.optimizer = optimizer_->gather_state(*communicator_);
  if (!is_first()) return {};
  content.model = copies(*weights_);
  for (const NamedTensor& buffer : replicas_.front()->buffers())
    content.model.push_back({buffer.name, buffer.tensor.clone()});
  if (ema_) content.ema = copies(*ema_);
  content.state = state_;
  return content;
}

}  // namespace lockstep
