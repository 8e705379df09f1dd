#include "train/step/input_feeder.h"

#include <chrono>

#include <ATen/ATen.h>

#include "core/errors.h"
#include "ddp/slot_threads.h"

namespace lockstep {

InputFeeder::InputFeeder(Session& session, const StepRules& rules, int64_t few_shapes, size_t ahead)
    : session_(session),
      rules_(rules),
      micro_batches_(rules.slots().count() * session.plan().micro_batches_per_slot),
      few_shapes_(few_shapes),
      loader_(rules.make_loader(rules.slots(), 1)),
      steps_(ahead) {
  reader_ = std::thread([this, step = session.state().step] { read(step); });
}

InputFeeder::~InputFeeder() {
  steps_.close();
  reader_.join();
}

void InputFeeder::read(int64_t step) {
  for (; step < session_.plan().steps; ++step) {
    std::vector<Batch> batches;
    std::exception_ptr failed;
    try {
      for (int64_t i = 0; i < micro_batches_; ++i)
        batches.push_back(rules_.next_micro_batch(*loader_));
    } catch (...) {
      failed = std::current_exception();
    }
    const StepContext context = rules_.context(step, few_shapes_);
    auto made =
        std::async(std::launch::async, [this, context, failed, batches = std::move(batches)] {
          if (failed) std::rethrow_exception(failed);
          set_up_compute_thread();
          const at::NoGradGuard no_grad;
          Step inputs;
          for (const Batch& batch : batches)
            inputs.push_back(session_.task().loss_inputs(batch, context));
          return inputs;
        });
    if (!steps_.push(std::move(made)) || failed) return;
  }
}

std::vector<LossInputs> InputFeeder::next() {
  const auto start = std::chrono::steady_clock::now();
  std::optional<std::future<Step>> step = steps_.pop();
  if (!step) throw InternalError("inputs of a step after the last one");
  std::vector<LossInputs> inputs = step->get();
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return inputs;
}

}  // namespace lockstep
