// A step on a device. Everything between the inputs and the report is queued without waiting for
// the host, so that it can be recorded once and replayed as one graph.
//
// The host runs ahead: it prepares and queues up to kInFlight steps whose results it does not know
// yet. What depends on them (how many updates were made, the loss scale) therefore lives on the
// device, and the host learns it from a report that each step copies back.
#include <ATen/ATen.h>

#include <deque>

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "core/errors.h"
#include "core/log.h"
#include "core/stop_flag.h"
#include "ddp/device/device_gradients.h"
#include "optim/device_update.h"
#include "tensor/kept_values.h"
#include "train/precision.h"
#include "train/step/device_phases.h"
#include "train/step/input_buffers.h"
#include "train/step/input_feeder.h"
#include "train/step/memory_advice.h"
#include "train/step/step_executor.h"
#include "train/step/step_graphs.h"
#include "train/step/step_rules.h"
#include "train/step/update_choice.h"

namespace lockstep {
namespace {

constexpr size_t kInFlight = 2;  // steps that are queued while the host prepares the next one
constexpr size_t kAhead = 4;     // steps whose inputs are made ahead
// Lengths that batches are padded to on one rank. Several ranks must agree, so they have one.
constexpr int64_t kShapes = 8;
constexpr double kLastLookSeconds = 10;  // a late rank has so long to answer before it is named

// What is added up over slots and ranks, f64 on the device: StepTotals.
enum Total { kLoss, kCount, kCorrect, kGuesses, kStop, kTotalSize };
// A step's report: its totals, then DeviceUpdate's.
constexpr int64_t kTotals = kTotalSize, kReport = kTotals + DeviceUpdate::kReportSize;

StepTotals totals_of(const double* report) {
  StepTotals totals;
  totals.loss_sum = report[kLoss];
  totals.count = report[kCount];
  totals.correct = report[kCorrect];
  totals.guesses = report[kGuesses];
  totals.stop = report[kStop];
  return totals;
}

UpdateOutcome outcome_of(const double* report, bool scales_loss) {
  const double* update = report + kTotalSize;
  UpdateOutcome outcome;
  outcome.grad_norm = update[DeviceUpdate::kNorm];
  outcome.updated = update[DeviceUpdate::kUpdated] > 0;
  outcome.counts.updates = std::llround(update[DeviceUpdate::kUpdates]);
  outcome.counts.skipped_in_a_row = std::llround(update[DeviceUpdate::kSkippedInARow]);
  if (!scales_loss) return outcome;
  outcome.loss_scale = update[DeviceUpdate::kScale];
  outcome.counts.loss_scale = {update[DeviceUpdate::kNextScale],
                               std::llround(update[DeviceUpdate::kGoodSteps])};
  return outcome;
}

std::vector<at::Tensor> parameters_of(const Model& model) {
  std::vector<at::Tensor> out;
  for (const NamedTensor& entry : model.parameters()) out.push_back(entry.tensor);
  return out;
}

// A step that was queued.
struct InFlight {
  int64_t step = 0;  // from 0
  std::shared_ptr<const DeviceMark> end;
  at::Tensor report;  // f64 [kReport], on the host
  DevicePhases::Marks phases;
};

class DeviceExecutor final : public StepExecutor {
 public:
  explicit DeviceExecutor(Session& session);
  ~DeviceExecutor() override;
  std::vector<StepResult> run() override;
  std::vector<StepResult> finish() override;

 private:
  void queue_step();
  // What happens on the device, from inputs at fixed places to `report_`.
  void compute(const std::vector<LossInputs>& inputs);
  void compute_micro_batch(const LossInputs& inputs, bool last);
  std::vector<LossInputs> next_inputs();
  const std::vector<LossInputs>& bring(const InputLayout& layout,
                                       const std::vector<LossInputs>& inputs);
  LossInputs extra_inputs(const std::vector<LossInputs>& micro_batches) const;
  std::unique_ptr<DeviceUpdate> make_update();
  void exchange_within_update(const std::function<void(DeviceQueue&)>& work);
  StepResult take_result();
  at::Tensor free_report();
  EnvironmentError out_of_memory(const std::exception& error) const;

  Session& session_;
  Device& device_;
  const StepRules rules_;
  const int64_t micro_batches_;  // of a slot
  std::unique_ptr<DeviceCommunicator> comm_;
  std::unique_ptr<DeviceQueue> queue_;
  DeviceGradients gradients_;
  DevicePhases phases_;
  StepGraphs graphs_;
  std::unique_ptr<DeviceUpdate> update_;
  InputFeeder feeder_;
  InputBuffers buffers_;
  at::Tensor totals_, report_;
  const GraphedStep step_;
  std::deque<InFlight> in_flight_;
  std::vector<at::Tensor> reports_;  // pinned, free
  double waited_before_ = 0;
  std::shared_ptr<const DeviceMark> overtaken_;  // the last snapshot that steps have waited for
};

DeviceExecutor::DeviceExecutor(Session& session)
    : session_(session),
      device_(session.device()),
      rules_(session),
      micro_batches_(session.plan().micro_batches_per_slot),
      comm_(make_device_communicator(session.communicator(), device_,
                                     session.plan().timeout_seconds)),
      queue_(device_.make_queue()),
      gradients_(*comm_, device_, *queue_, session.layout(),
                 parameters_of(*session.replicas().front()), rules_.exchange()),
      phases_(*queue_, session.is_first()),
      graphs_(
          session, *queue_, phases_,
          comm_->recordable() ? "" : "gradients travel through the host (" + comm_->name() + ")"),
      update_(make_update()),
      feeder_(session, rules_, comm_->size() > 1 ? 1 : kShapes, kAhead),
      buffers_(device_, *queue_),
      totals_(
          at::zeros({kTotalSize}, at::TensorOptions().dtype(at::kDouble).device(device_.where()))),
      report_(at::zeros({kReport}, totals_.options())),
      step_{[this](const std::vector<LossInputs>& inputs) { compute(inputs); },
            [this] { return update_->state(); },
            session.weights().flat(),
            report_.select(0, kLoss),
            report_.select(0, kTotals + DeviceUpdate::kNorm),
            report_.select(0, kTotals + DeviceUpdate::kUpdated)} {
  device_.synchronize();  // what was made on other queues is there
  if (session.is_first()) {
    log_info(update_->choice());
    if (comm_->size() > 1)
      log_info(fmt::format("gradients travel by {}, {} buckets", comm_->name(),
                           gradients_.num_buckets()));
  }
  graphs_.tell_note();
}

// The communicator waits for graphs that use it.
DeviceExecutor::~DeviceExecutor() { graphs_.clear(); }

std::unique_ptr<DeviceUpdate> DeviceExecutor::make_update() {
  DeviceUpdateSetup setup(rules_.update_setup(gradients_.sum()));
  setup.device = device_.where();
  device_.synchronize();  // weights and states were made on other queues
  setup.choice = choose_update(session_, setup, *queue_, graphs_.allowed());
  if (!session_.shard().whole())
    setup.exchange = ShareExchange{
        comm_.get(),
        [this](const std::function<void(DeviceQueue&)>& work) { exchange_within_update(work); }};
  return make_device_update(setup);
}

// For a sharded optimizer: `work` runs after what the update has queued and before what it queues
// next.
void DeviceExecutor::exchange_within_update(const std::function<void(DeviceQueue&)>& work) {
  const PhaseRange range("exchange");
  DeviceQueue& exchange = gradients_.queue();
  exchange.wait(*queue_->mark());
  work(exchange);
  phases_.enter(DevicePhase::kExchange);
  queue_->wait(*exchange.mark());
  phases_.enter(DevicePhase::kUpdate);
}

std::vector<StepResult> DeviceExecutor::run() {
  std::vector<StepResult> results;
  try {
    queue_step();
    while (in_flight_.size() > kInFlight) results.push_back(take_result());
  } catch (const c10::OutOfMemoryError& error) {
    throw out_of_memory(error);
  }
  return results;
}

std::vector<StepResult> DeviceExecutor::finish() {
  std::vector<StepResult> results;
  while (!in_flight_.empty()) results.push_back(take_result());
  if (!results.empty()) device_.synchronize();
  return results;
}

void DeviceExecutor::queue_step() {
  TrainState& state = session_.state();
  std::vector<LossInputs> inputs = next_inputs();
  const InputLayout layout = InputLayout::of(inputs);
  phases_.enter(DevicePhase::kCopy);
  const std::vector<LossInputs>& there = bring(layout, inputs);
  if (const auto copied = session_.snapshot_done(); copied != nullptr && copied != overtaken_) {
    queue_->wait(*copied);
    overtaken_ = copied;
  }
  // A step that is compared puts back the values before it, so finish the pending updates first.
  if (graphs_.checks(layout.key)) device_.synchronize();
  graphs_.run(layout.key, step_, there);
  InFlight step{state.step, nullptr, free_report(), phases_.take()};
  queue_->run([&] { step.report.copy_(report_, /*non_blocking=*/true); });
  step.end = queue_->mark();
  comm_->watch(fmt::format("step {}", state.step + 1), step.end);
  in_flight_.push_back(std::move(step));
  state.step += 1;
}

std::vector<LossInputs> DeviceExecutor::next_inputs() {
  const PhaseRange range("wait for data");
  std::vector<LossInputs> inputs = feeder_.next();
  inputs.push_back(extra_inputs(inputs));
  return inputs;
}

const std::vector<LossInputs>& DeviceExecutor::bring(const InputLayout& layout,
                                                     const std::vector<LossInputs>& inputs) {
  const PhaseRange range("copy inputs");
  return buffers_.bring(layout, inputs);
}

// What the host adds to a step's inputs: its part of the totals, and the learning rates and EMA
// moves of the coming updates.
LossInputs DeviceExecutor::extra_inputs(const std::vector<LossInputs>& micro_batches) const {
  LossInputs extra;
  at::Tensor totals = at::zeros({kTotalSize}, at::kDouble);
  auto* values = totals.mutable_data_ptr<double>();
  for (const LossInputs& inputs : micro_batches) {
    values[kCount] += inputs.count;
    values[kGuesses] += inputs.guesses;
  }
  values[kStop] = stop_requested() ? 1 : 0;
  extra.tensors = update_->rows(session_.state().updates, [&](int64_t update) {
    return rules_.planned(session_.state().step, update);
  });
  extra.tensors["totals"] = totals;
  return extra;
}

void DeviceExecutor::compute(const std::vector<LossInputs>& inputs) {
  const LossInputs& extra = inputs.back();
  const int64_t slots = rules_.slots().count();
  phases_.enter(DevicePhase::kForward);
  gradients_.begin_step();
  queue_->run([&] { totals_.copy_(extra.at("totals")); });
  for (int64_t slot = 0; slot < slots; ++slot) {
    gradients_.begin_slot(slot);
    for (int64_t micro = 0; micro < micro_batches_; ++micro) {
      const bool last = slot + 1 == slots && micro + 1 == micro_batches_;
      compute_micro_batch(inputs[static_cast<size_t>(slot * micro_batches_ + micro)], last);
    }
  }
  phases_.enter(DevicePhase::kExchange);
  {
    const PhaseRange range("exchange");
    gradients_.finish([&] {
      if (comm_->size() > 1) comm_->all_reduce(totals_, gradients_.queue(), "step totals");
    });
  }
  const PhaseRange range("update");
  phases_.enter(DevicePhase::kUpdate);
  queue_->run([&] {
    const at::NoGradGuard no_grad;
    update_->run(extra.tensors, totals_, report_.narrow(0, kTotalSize, DeviceUpdate::kReportSize));
    report_.narrow(0, 0, kTotalSize).copy_(totals_);
  });
}

void DeviceExecutor::compute_micro_batch(const LossInputs& inputs, bool last) {
  queue_->run([&] {
    LossTensors loss;
    phases_.enter(DevicePhase::kForward);
    {
      const PhaseRange range("forward");
      const AutocastGuard autocast(session_.config().precision.compute, /*keep_casts=*/false,
                                   device_.where().type());
      loss = session_.task().loss_tensors(*session_.replicas().front(), inputs);
    }
    {
      const at::NoGradGuard no_grad;
      totals_.select(0, kLoss).add_(loss.sum.detach());
      if (loss.correct.defined()) totals_.select(0, kCorrect).add_(loss.correct);
    }
    gradients_.last_backward(last);
    const PhaseRange range("backward");
    phases_.enter(DevicePhase::kBackward);
    if (!loss.sum.requires_grad()) return;
    const at::Tensor loss_scale = update_->loss_scale();
    const double factor = 1 / rules_.backward_constant();
    (loss_scale.defined() ? loss.sum * (loss_scale * factor) : loss.sum.mul(factor)).backward();
  });
}

at::Tensor DeviceExecutor::free_report() {
  if (reports_.empty()) return device_.pinned({kReport}, at::kDouble);
  at::Tensor report = reports_.back();
  reports_.pop_back();
  return report;
}

// Waits for the oldest queued step.
StepResult DeviceExecutor::take_result() {
  const InFlight step = std::move(in_flight_.front());
  in_flight_.pop_front();
  try {
    wait_for(*step.end, comm_.get());
  } catch (const CommError& error) {
    // NCCL knows that something is late; who it is shows by who still answers.
    Communicator& host = session_.communicator();
    host.limit_waits(kLastLookSeconds);
    try {
      host.barrier(error.fact());
    } catch (const CommError& late) {
      throw CommError(late.fact(), late.help());
    }
    throw;
  }
  const double* report = step.report.const_data_ptr<double>();
  const UpdateOutcome outcome = outcome_of(report, update_->loss_scale().defined());
  StepResult result = rules_.conclude(step.step, totals_of(report), outcome);
  reports_.push_back(step.report);
  result.data_wait_seconds = feeder_.waited_seconds() - waited_before_;
  waited_before_ = feeder_.waited_seconds();
  result.device = seconds_of(step.phases);
  if (!device_.is_cpu()) result.memory_bytes = device_.memory().peak_bytes;
  return result;
}

EnvironmentError DeviceExecutor::out_of_memory(const std::exception& error) const {
  MemoryUse use;
  const int64_t arena = session_.layout().size * 4;
  use.fixed = {{"weights", arena},
               {"gradients", arena * (rules_.exchange().tree ? rules_.slots().count() : 1)}};
  int64_t states = 0;
  for (const at::Tensor& tensor : session_.optimizer().flat_states())
    states += static_cast<int64_t>(tensor.nbytes());
  use.fixed.push_back({"the optimizer's state", states});
  if (session_.has_ema()) use.fixed.push_back({"EMA", arena});
  const DeviceMemory memory = device_.memory();
  use.total_bytes = memory.total_bytes;
  use.peak_bytes = memory.peak_bytes;
  use.micro_batch = session_.plan().micro_batch;
  use.rows_of_slot = session_.plan().rows_per_slot();
  use.micro_batches = micro_batches_;
  return out_of_memory_error(use, error.what());
}

}  // namespace

std::unique_ptr<StepExecutor> make_device_executor(Session& session) {
  return std::make_unique<DeviceExecutor>(session);
}

}  // namespace lockstep
