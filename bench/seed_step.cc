// Time of one training step of the Sudoku seed's network: states, forward, loss, backward, clipping, AdamW.
//
//   build/bin/seed_step_bench --case c64-l9-e15-k6-b64 [--compute fp32|bf16|…] [--slots N] [--device cpu] MODE
//
//   --rounds N     one step that is not counted, then N that are; one line of JSON
//   --serve        the same for each number that comes on stdin: a program that compares runs peers in between
//   --until N      N steps from the start of the process, one line of JSON: time to step N
//   --check FILE   loss and gradient norm for the weights and sequences of a safetensors file, no step
//
// One thread. Seconds are wall clock and CPU time of this process, which other work on the machine disturbs
// less. The batch is cut into --slots forwards as a run cuts it (`lockstep plan`: 8 where they divide it),
// whose gradients add up. K 1 is one forward a grid (C18). bench/peers/seed_step.py runs it with its peers.
#include <cstdio>
#include <iostream>
#include <map>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "bench/clocks.h"
#include "bench/seed_case.h"
#include "bench/trained_arenas.h"
#include "data/sudoku_puzzles.h"
#include "tasks/seed_loss.h"
#include "tasks/seed_states.h"
#include "tensor/safetensors.h"
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
  Training(const SeedCase& sizes, int64_t slots, const std::string& compute)
      : sizes_(sizes), slots_(slots), compute_(compute), model_(sizes.net, 1), arenas_(model_, "adamw") {
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
    arenas_.clear_gradients();
    double loss = 0;
    states_ = 0;
    for (const SeedStates& slot : slots) {
      states_ += slot.times.numel();
      if (slot.times.numel() > 0) loss += backward(slot, steps);
    }
    arenas_.update(1e-3);
    return loss;
  }

  // Loss and gradient norm for given weights: what the peers must find, too.
  std::string check(const std::string& file) {
    const NamedTensors inputs = load_safetensors(file);
    NamedTensors weights;
    for (const NamedTensor& entry : inputs)
      if (entry.name.starts_with("weight.")) weights.push_back({entry.name.substr(7), entry.tensor});
    model_.load(weights, file);
    const at::Tensor sequences = find_tensor(inputs, "sequences")->flatten(2).to(at::kByte).contiguous();
    const at::Tensor start = find_tensor(inputs, "start")->to(at::kLong), count = find_tensor(inputs, "count")->to(at::kLong);
    std::vector<SeedWindow> windows;
    for (int64_t row = 0; row < start.numel(); ++row)
      windows.push_back({start.data_ptr<int64_t>()[row], count.data_ptr<int64_t>()[row]});
    const SeedStates states = states_of_sequences(sequences, windows);
    arenas_.clear_gradients();
    const double loss = backward(states, states.steps);
    char line[128];
    std::snprintf(line, sizeof line, "{\"loss\": %.9g, \"gradient_norm\": %.9g}", loss, arenas_.norm());
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

  double backward(const SeedStates& states, double steps) {
    at::Tensor loss;
    {
      const AutocastGuard autocast(compute_);
      loss = seed_loss(model_.logits(states.cells, states.times), states).sum() / steps;
    }
    loss.backward();
    return loss.item<double>();
  }

  SeedCase sizes_;
  int64_t slots_, states_ = 0;
  std::string compute_;
  SeedConv model_;
  TrainedArenas arenas_;
  std::vector<Grid> grids_;
  std::vector<CellOrder> orders_;
};

// "--name value" or "--name".
std::map<std::string, std::string> flags_of(int argc, char** argv) {
  std::map<std::string, std::string> flags;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (!word.starts_with("--")) throw ConfigError("not a flag: '" + word + "'");
    const bool has_value = i + 1 < argc && !std::string(argv[i + 1]).starts_with("--");
    flags[word.substr(2)] = has_value ? argv[++i] : "";
  }
  return flags;
}

int64_t number_in(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) throw ConfigError("not a number: '" + text + "'");
  return std::stoll(text);
}

int run(std::map<std::string, std::string> flags) {
  if (flags.contains("device") && flags["device"] != "cpu")
    throw EnvironmentError("this benchmark computes on a CPU, not on '" + flags["device"] + "'");
  const SeedCase sizes = SeedCase::named(flags["case"]);
  const int64_t slots = flags.contains("slots") ? number_in(flags["slots"]) : sizes.batch % 8 == 0 ? 8 : 1;
  Training training(sizes, slots, flags.contains("compute") ? flags["compute"] : "fp32");
  if (flags.contains("check")) {
    std::puts(training.check(flags["check"]).c_str());
    return 0;
  }
  int64_t number = 0;
  if (flags.contains("until")) {
    double loss = 0;
    for (const int64_t last = number_in(flags["until"]); number < last;) loss = training.step(number++);
    std::printf("{\"steps\": %ld, \"cpu\": %.6f, \"loss\": %f}\n", long(number), cpu_seconds(), loss);
    return 0;
  }
  training.step(number++);
  const auto rounds = [&](int64_t steps) {
    const StepSeconds seconds = timed_steps(steps, [&](int64_t) { return training.step(number++); });
    std::printf("{%s, \"flops\": %.0f}\n", seconds.text().c_str(), training.flops());
    std::fflush(stdout);
  };
  if (!flags.contains("serve")) {
    rounds(flags.contains("rounds") ? number_in(flags["rounds"]) : 5);
    return 0;
  }
  for (std::string line; std::getline(std::cin, line);) rounds(number_in(line));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  try {
    return run(flags_of(argc, argv));
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.message().c_str());
    return static_cast<int>(error.code());
  }
}
