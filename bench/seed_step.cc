// Time of one training step of the Sudoku seed's network: states, forward, loss, backward,
// clipping, AdamW.
//
//   build/bin/seed_step_bench --case c64-l9-e15-k6-b64 [--compute fp32|bf16|…] [--slots N]
//                             [--device cpu|cuda] MODE
//
//   --rounds N     one step that is not counted, then N that are; one line of JSON
//   --serve        the same for each number that comes on stdin, so that a comparing program can
//                  run the peers in between
//   --until N      N steps from the start of the process, one line of JSON: time to step N
//   --check FILE   no step: loss and gradient norm for the weights and sequences of FILE
//                  (safetensors)
//
// One thread. Seconds are wall clock and CPU time of this process; CPU time suffers less from other
// work on the machine. With --device cuda the network and the update run on the first GPU operation
// by operation; a whole run (`lockstep train`) replays them as one graph.
// The batch is cut into --slots forwards whose gradients add up, as in a run (`lockstep plan` shows
// the number: 8 where 8 divides the batch). K 1 is one forward a grid (C18).
// bench/peers/seed_step.py runs this program and its peers in turn.
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "bench/clocks.h"
#include "bench/flags.h"
#include "bench/seed_case.h"
#include "bench/trained_arenas.h"
#include "data/sudoku/sudoku_puzzles.h"
#include "tasks/sudoku_seed/seed_loss.h"
#include "tasks/sudoku_seed/seed_states.h"
#include "tensor/safetensors.h"
#include "train/open_device.h"
#include "train/precision.h"

using namespace lockstep;

namespace {

Grid made_grid(int64_t id) {
  const Stream stream(1, Purpose::kDataMaking);
  Draws draws(stream, static_cast<uint64_t>(id), 0);
  return random_grid(draws);
}

class Training {
 public:
  Training(const SeedCase& sizes, int64_t slots, const std::string& compute,
           std::unique_ptr<Device> device)
      : sizes_(sizes),
        slots_(slots),
        compute_(compute),
        device_(std::move(device)),
        queue_(device_->make_queue()),
        model_(sizes.net, 1) {
    queue_->run([&] {
      if (!device_->is_cpu()) model_.to(device_->where());
      arenas_ = std::make_unique<TrainedArenas>(model_, "adamw", device_->where());
    });
    if (sizes.batch % slots != 0) throw ConfigError("--slots does not divide the batch");
    for (int64_t id = 0; id < sizes.batch; ++id) {
      grids_.push_back(made_grid(id));
      orders_.push_back(seed_order(1, id, 0));
    }
  }

  double step(int64_t number) {
    std::vector<SeedStates> slots;
    double steps = 0;
    for (int64_t slot = 0; slot < slots_; ++slot) {
      slots.push_back(states(slot, number));
      steps += slots.back().steps;
    }
    states_ = 0;
    double loss = 0;
    queue_->run([&] {
      arenas_->clear_gradients();
      at::Tensor sum;
      for (const SeedStates& slot : slots) {
        states_ += slot.times.numel();
        if (slot.times.numel() == 0) continue;
        const at::Tensor one = backward(slot, steps);
        sum = sum.defined() ? sum + one : one;
      }
      arenas_->update(1e-3);
      if (sum.defined()) loss = sum.item<double>();
    });
    device_->synchronize();
    return loss;
  }

  // Loss and gradient norm for given weights: what the peers must find, too.
  std::string check(const std::string& file) {
    const NamedTensors inputs = load_safetensors(file);
    NamedTensors weights;
    for (const NamedTensor& entry : inputs)
      if (entry.name.starts_with("weight."))
        weights.push_back({entry.name.substr(7), entry.tensor});
    queue_->run([&] { model_.load(weights, file); });
    const at::Tensor sequences =
        find_tensor(inputs, "sequences")->flatten(2).to(at::kByte).contiguous();
    const at::Tensor start = find_tensor(inputs, "start")->to(at::kLong),
                     count = find_tensor(inputs, "count")->to(at::kLong);
    std::vector<SeedWindow> windows;
    for (int64_t row = 0; row < start.numel(); ++row)
      windows.push_back({start.data_ptr<int64_t>()[row], count.data_ptr<int64_t>()[row]});
    const SeedStates states = states_of_sequences(sequences, windows);
    char line[128];
    queue_->run([&] {
      arenas_->clear_gradients();
      const double loss = backward(states, states.steps).item<double>();
      std::snprintf(line, sizeof line, "{\"loss\": %.9g, \"gradient_norm\": %.9g}", loss,
                    arenas_->norm());
    });
    return line;
  }

  // Multiplications and additions of the step before.
  double flops() const { return 3 * sizes_.forward_flops() * double(states_); }

 private:
  SeedStates states(int64_t slot, int64_t number) const {
    const int64_t rows = sizes_.batch / slots_;
    SeedStatesBuilder builder;
    for (int64_t id = slot * rows; id < (slot + 1) * rows; ++id) {
      const SeedWindow window = seed_window(1, id, number, sizes_.k_max);
      builder.add_sequence(grids_[size_t(id)], orders_[size_t(id)], window.start, window.count);
    }
    return builder.finish();
  }

  at::Tensor backward(const SeedStates& host, double steps) {
    const auto there = [&](const at::Tensor& tensor) {
      return tensor.defined() ? tensor.to(device_->where()) : tensor;
    };
    const SeedStates states{there(host.cells), there(host.times),  there(host.position),
                            there(host.value), there(host.counts), host.steps};
    at::Tensor loss;
    {
      const AutocastGuard autocast(value_of<Compute>(compute_), /*keep_casts=*/false,
                                   device_->where().type());
      loss = seed_loss(model_.logits(states.cells, states.times), states).sum() / steps;
    }
    loss.backward();
    return loss.detach();
  }

  SeedCase sizes_;
  int64_t slots_, states_ = 0;
  std::string compute_;
  const std::unique_ptr<Device> device_;
  const std::unique_ptr<DeviceQueue> queue_;
  SeedConv model_;
  std::unique_ptr<TrainedArenas> arenas_;
  std::vector<Grid> grids_;
  std::vector<CellOrder> orders_;
};

int run(const BenchFlags& flags) {
  const SeedCase sizes = SeedCase::named(flags.text("case"));
  Training training(sizes, flags.number("slots", sizes.batch % 8 == 0 ? 8 : 1),
                    flags.text("compute", "fp32"),
                    device_of_process(value_of<DeviceKind>(flags.text("device", "cpu"))));
  if (flags.has("check")) {
    std::puts(training.check(flags.text("check")).c_str());
    return 0;
  }
  int64_t number = 0;
  if (flags.has("until")) {
    double loss = 0;
    for (const int64_t last = flags.number("until", 0); number < last;)
      loss = training.step(number++);
    std::printf("{\"steps\": %ld, \"cpu\": %.6f, \"loss\": %f}\n", long(number), cpu_seconds(),
                loss);
    return 0;
  }
  training.step(number++);
  const auto rounds = [&](int64_t steps) {
    const StepSeconds seconds =
        timed_steps(steps, [&](int64_t) { return training.step(number++); });
    std::printf("{%s, \"flops\": %.0f}\n", seconds.text().c_str(), training.flops());
    std::fflush(stdout);
  };
  if (!flags.has("serve")) {
    rounds(flags.number("rounds", 5));
    return 0;
  }
  for (std::string line; std::getline(std::cin, line);) rounds(BenchFlags::whole_number(line));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const BenchFlags flags(argc, argv);
    const std::string device = flags.text("device", "cpu");
    if (device != "cpu" && device != "cuda")
      throw ConfigError("--device is '" + device + "'", "cpu or cuda");
    open_cuda_for(value_of<DeviceKind>(device));  // before any call into LibTorch
    at::set_num_threads(1);
    return run(flags);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.message().c_str());
    return static_cast<int>(error.code());
  }
}
