// Time of one training step of the Sudoku seed's network: states, forward, loss, backward, clipping, AdamW.
//
//   build/bin/seed_step_bench HIDDEN_DIM NUM_LAYERS EMBEDDING_DIM K_MAX BATCH STEPS [fp32|bf16]
//
// One thread. Prints one line of JSON: seconds of each step, wall clock and CPU time of this process (which
// other work on the machine disturbs less), after one step that is not counted. K_MAX 1 is one forward a
// grid (C18). bench/peers/seed_step.py runs it and its peers in turn.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "bench/clocks.h"
#include "bench/trained_arenas.h"
#include "data/sudoku_puzzles.h"
#include "tasks/seed_loss.h"
#include "tasks/seed_states.h"
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
  Training(const SeedConvOptions& options, int64_t k_max, int64_t batch, const std::string& compute)
      : model_(options, 1), arenas_(model_, "adamw"), k_max_(k_max), compute_(compute) {
    for (int64_t id = 0; id < batch; ++id) {
      grids_.push_back(made_grid(id));
      orders_.push_back(seed_order(1, id, 0));
    }
  }

  double step(int64_t number) {
    SeedStatesBuilder builder;
    for (size_t id = 0; id < grids_.size(); ++id) {
      const SeedWindow window = seed_window(1, static_cast<int64_t>(id), number, k_max_);
      builder.add_sequence(grids_[id], orders_[id], window.start, window.count);
    }
    const SeedStates states = builder.finish();
    arenas_.clear_gradients();
    at::Tensor loss;
    {
      const AutocastGuard autocast(compute_);
      loss = seed_loss(model_.logits(states.cells, states.times), states).sum() / states.steps;
    }
    arenas_.descend(loss, 1e-3);
    return loss.item<double>();
  }

 private:
  SeedConv model_;
  TrainedArenas arenas_;
  int64_t k_max_;
  std::string compute_;
  std::vector<Grid> grids_;
  std::vector<CellOrder> orders_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7) {
    std::fprintf(stderr, "usage: %s HIDDEN_DIM NUM_LAYERS EMBEDDING_DIM K_MAX BATCH STEPS [fp32|bf16]\n", argv[0]);
    return 2;
  }
  at::set_num_threads(1);
  SeedConvOptions options;
  options.hidden_dim = std::atoll(argv[1]);
  options.num_layers = std::atoll(argv[2]);
  options.embedding_dim = std::atoll(argv[3]);
  Training training(options, std::atoll(argv[4]), std::atoll(argv[5]), argc > 7 ? argv[7] : "fp32");
  print_step_seconds(std::atoll(argv[6]), [&](int64_t number) { return training.step(number); });
  return 0;
}
